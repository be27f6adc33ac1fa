package intent

import (
	"bytes"
	"encoding/json"
	"strings"
)

// IstioResourceSpec is an Istio object as it is, for chosen clusters.
type IstioResourceSpec struct {
	Clusters ClusterChoice `json:"clusters"`
	Resource RawResource   `json:"resource"`
}

// ClusterChoice names clusters by list and by label; both are united.
type ClusterChoice struct {
	Clusters []ClusterRef `json:"clusters,omitempty"`
	Selector *Selector    `json:"selector,omitempty"`
}

// RawResource is a Kubernetes object. Its spec is Istio's to judge.
type RawResource struct {
	APIVersion string          `json:"apiVersion"`
	Kind       string          `json:"kind"`
	Metadata   RawMetadata     `json:"metadata"`
	Spec       json.RawMessage `json:"spec,omitempty"`
}

// RawMetadata is the part of a Kubernetes object's metadata that is its
// author's to set.
type RawMetadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace,omitempty"` // default: the group's
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Group is the API group, without the version.
func (r *RawResource) Group() string {
	group, _, found := strings.Cut(r.APIVersion, "/")
	if !found {
		return ""
	}
	return group
}

// selectsWorkloads reports whether the resource's spec names the workloads that
// it is for.
func (r *RawResource) selectsWorkloads() bool {
	var spec struct {
		WorkloadSelector *struct {
			Labels map[string]string `json:"labels"`
		} `json:"workloadSelector"`
	}
	return json.Unmarshal(r.Spec, &spec) == nil && spec.WorkloadSelector != nil && len(spec.WorkloadSelector.Labels) > 0
}

// normalize writes the resource's spec in one way, with members in order and
// no space between, so that the same spec is the same bytes.
func (r *IstioResourceSpec) normalize() {
	if string(r.Resource.Spec) == "null" {
		r.Resource.Spec = nil
	}
	d := json.NewDecoder(bytes.NewReader(r.Resource.Spec))
	d.UseNumber() // numbers keep their digits
	var spec any
	if d.Decode(&spec) != nil || d.More() {
		return
	}
	if data, err := json.Marshal(spec); err == nil {
		r.Resource.Spec = data
	}
}

func (r *IstioResourceSpec) validate(v *violations) {
	at := v.in("clusters")
	validateClusterRefs(at.in("clusters"), r.Clusters.Clusters)
	r.Clusters.Selector.validate(at.in("selector"))
	if len(r.Clusters.Clusters) == 0 && r.Clusters.Selector == nil {
		at.add("names no cluster: give clusters, a selector, or both")
	}
	r.Resource.validate(v.in("resource"))
}

func (r *RawResource) validate(v *violations) {
	if !apiVersionRE.MatchString(r.APIVersion) {
		v.in("apiVersion").add("%q is no API version such as networking.istio.io/v1", clip(r.APIVersion))
	}
	if !kindRE.MatchString(r.Kind) {
		v.in("kind").add("%q is no kind such as VirtualService", clip(r.Kind))
	}
	var members map[string]json.RawMessage
	if len(r.Spec) > 0 && json.Unmarshal(r.Spec, &members) != nil {
		v.in("spec").add("must be a JSON object")
	}
	at := v.in("metadata")
	at.in("name").check(checkDNSName(r.Metadata.Name))
	if r.Metadata.Namespace != "" {
		at.in("namespace").check(checkDNSLabel(r.Metadata.Namespace))
	}
	validateLabels(at.in("labels"), r.Metadata.Labels)
	for _, k := range sortedKeys(r.Metadata.Annotations) {
		at.in("annotations").in(k).check(checkLabelKey(k))
	}
}
