package main

import (
	"fmt"
	"strings"

	"github.com/meshwright/meshwright/intent"
)

// addEMCO adds a document as EMCO's emcoctl takes it: resourceContext.anchor is
// the collection without /v2, metadata.name the object. What has no place in
// Meshwright's tree is noted as skipped.
func (d *documents) addEMCO(at place, fields map[string]any) error {
	if v := fields["version"]; v != "emco/v2" {
		return fmt.Errorf("version is %v: of documents with a resourceContext only emco/v2 is known", v)
	}
	context, _ := fields["resourceContext"].(map[string]any)
	anchor, ok := context["anchor"].(string)
	if !ok || anchor == "" {
		return fmt.Errorf("resourceContext has no anchor")
	}
	metadata, err := metadataOf(fields)
	if err != nil {
		return err
	}
	anchor = restPath(anchor)
	if cluster, ok := strings.CutSuffix(anchor, "/kv-pairs"); ok {
		return d.addKeyValues(at, cluster, metadata, fields["spec"])
	}
	isItem := namesObject(anchor)
	isCollection := namesObject(anchor + "/x")
	if !isItem && !isCollection {
		d.skip(at, anchor, metadata, "Meshwright has no such resource")
		return nil
	}
	path, err := objectPath(anchor, metadata)
	if err != nil {
		return err
	}
	spec, _ := fields["spec"].(map[string]any)
	switch {
	case path.Kind() == intent.KindGroup && spec["namespace"] == nil:
		d.skip(at, anchor, metadata, "an EMCO group says nothing of a namespace and placements: describe it with spec.namespace and spec.placements")
		return nil
	case path.Kind() == intent.KindCluster && fields["spec"] == nil:
		metadata["name"] = path.Name()
		return d.addObject(document{action: createIfAbsent, path: path, place: at}, metadata, nil)
	}
	metadata["name"] = path.Name()
	return d.addObject(document{action: put, path: path, place: at}, metadata, fields["spec"])
}

func (d *documents) skip(at place, anchor string, metadata map[string]any, reason string) {
	what := strings.TrimPrefix(anchor, "/v2/")
	if name, err := nameOf(metadata); err == nil && name != "" {
		what += " " + name
	}
	d.skipped = append(d.skipped, skipped{place: at, what: what, reason: reason})
}

// addKeyValues adds a kv-pairs document of a cluster: spec.kv is a list of
// single pairs. Keys that say nothing about the Istio gateway are left out.
func (d *documents) addKeyValues(at place, cluster string, metadata map[string]any, spec any) error {
	path, kind, err := intent.ParsePath(cluster)
	if err != nil {
		return err
	}
	if kind != intent.KindCluster {
		d.skip(at, cluster+"/kv-pairs", metadata, "Meshwright has no such resource")
		return nil
	}
	fields, _ := spec.(map[string]any)
	list, ok := fields["kv"].([]any)
	if !ok {
		return fmt.Errorf("spec.kv must be a list of pairs")
	}
	var pairs []any
	for i, item := range list {
		pair, ok := item.(map[string]any)
		if !ok {
			return fmt.Errorf("spec.kv[%d] must be a pair `key: value`", i)
		}
		for key, value := range pair {
			if known, ok := intent.GatewayKey(key); ok {
				pairs = append(pairs, map[string]any{known: fmt.Sprint(value)})
			}
		}
	}
	if len(pairs) == 0 {
		d.skip(at, cluster+"/kv-pairs", metadata, "none of its keys describes an Istio gateway")
		return nil
	}
	return d.addObject(document{action: keyValues, path: path, place: at}, metadata, map[string]any{"kv": pairs})
}
