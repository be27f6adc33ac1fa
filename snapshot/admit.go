package snapshot

import (
	"crypto/sha256"
	"fmt"

	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/meshwright/meshwright/intent"
)

const (
	// maxObject bounds one object. An intent may make more of what it says than
	// it says itself; Kubernetes takes no more, and each proxy gets it whole.
	maxObject = 1 << 20

	// maxMatches bounds those of a VirtualService: Istio's validation compares
	// each with all others.
	maxMatches = 1000
)

// admitResource refuses an object that can't be delivered. Seen are the specs
// that were judged before: namespaces and clusters often get the same, and the
// rest of an object is ours.
func admitResource(r *Resource, unit *intent.Object, cluster intent.Path, seen map[[sha256.Size]byte]bool) error {
	err := checkBounds(r)
	if err == nil {
		key := sha256.Sum256([]byte(r.Type.Kind + "\x00" + mustMarshal(r.Spec)))
		if seen[key] {
			return nil
		}
		seen[key] = true
		if err = check(r); err != nil {
			err = fmt.Errorf("is refused by Istio: %w", err)
		}
	}
	if err == nil {
		return nil
	}
	return &intent.Error{
		Kind: intent.Invalid, Path: unit.Path,
		Detail:     fmt.Sprintf("the %s %s/%s can't be delivered to cluster %s", r.Type.Kind, r.Namespace, r.Name, cluster.ClusterName()),
		Violations: []intent.Violation{{Field: "/spec", Message: err.Error()}},
	}
}

// checkBounds refuses an object that would cost every proxy too much.
func checkBounds(r *Resource) error {
	if size := proto.Size(r.Spec); size > maxObject {
		return fmt.Errorf("would make an object of %d bytes, %d at most can be delivered: share it out among several services", size, maxObject)
	}
	routes, ok := r.Spec.(*networking.VirtualService)
	if !ok {
		return nil
	}
	matches := 0
	for _, route := range routes.Http {
		matches += len(route.Match)
	}
	if matches > maxMatches {
		return fmt.Errorf("would make a VirtualService with %d matches, %d at most can be delivered: each match of a routing rule counts once for every HTTP port", matches, maxMatches)
	}
	return nil
}
