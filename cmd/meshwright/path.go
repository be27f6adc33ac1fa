package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshwright/meshwright/intent"
)

// restPath is a path as the REST tree has it: users and EMCO's files may leave
// out the leading /v2.
func restPath(s string) string {
	s = strings.Trim(s, "/")
	if s == "v2" || strings.HasPrefix(s, "v2/") {
		return "/" + s
	}
	return "/v2/" + s
}

// objectPath is the path of the object that an anchor and its metadata name:
// the anchor itself, or the object of that name in the collection it is.
func objectPath(anchor string, metadata map[string]any) (intent.Path, error) {
	anchor = restPath(anchor)
	name, err := nameOf(metadata)
	if err != nil {
		return "", err
	}
	if isItem := namesObject(anchor); isItem {
		path, _, err := intent.ParsePath(anchor)
		if err == nil && name != "" && name != path.Name() {
			err = fmt.Errorf("metadata.name %q is not the name in the anchor, %q", name, path.Name())
		}
		return path, err
	}
	if isCollection := namesObject(anchor + "/x"); !isCollection {
		return "", fmt.Errorf("anchor %q is the path of no object and of no collection", anchor)
	}
	if name == "" {
		return "", fmt.Errorf("anchor %q is a collection, so metadata.name must say which object", anchor)
	}
	path, _, err := intent.ParsePath(anchor + "/" + name)
	return path, err
}

// namesObject reports whether a path would name an object by its shape alone,
// whether or not the names in it are legal.
func namesObject(path string) bool {
	segments := strings.Split(strings.Trim(path, "/"), "/")
	for _, kind := range intent.Kinds {
		template := strings.Split(strings.Trim(kind.Template(), "/"), "/")
		if len(template) != len(segments) {
			continue
		}
		// ParsePath knows the aliases of the literal segments; any name will do.
		parts := slices.Clone(segments)
		for i, t := range template {
			if strings.HasPrefix(t, "{") {
				parts[i] = "x"
			}
		}
		if _, got, err := intent.ParsePath(strings.Join(parts, "/")); err == nil && got == kind {
			return true
		}
	}
	return false
}

// clusterPath is the path of a cluster, given as provider/cluster or as a path.
func clusterPath(s string) (intent.Path, error) {
	if provider, cluster, ok := strings.Cut(strings.Trim(s, "/"), "/"); ok && !strings.Contains(cluster, "/") {
		s = string(intent.ClusterPath(provider, cluster))
	}
	path, kind, err := intent.ParsePath(restPath(s))
	if err != nil || kind != intent.KindCluster {
		return "", fmt.Errorf("%q names no cluster: give PROVIDER/CLUSTER", s)
	}
	return path, nil
}
