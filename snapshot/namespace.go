package snapshot

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/meshwright/meshwright/intent"
)

// keepAnnotations tell installers to leave a namespace there when it is no
// longer in the bundle: all that its owner runs in it would go with it. They are
// Helm's, Argo CD's and Flux's.
var keepAnnotations = map[string]string{
	"helm.sh/resource-policy":           "keep",
	"argocd.argoproj.io/sync-options":   "Delete=false,Prune=false",
	"kustomize.toolkit.fluxcd.io/prune": "disabled",
}

// namespaceObject is a group's namespace, for a bundle that is applied to a
// cluster where nobody has made it yet. It asks for no sidecar injection: how
// workloads come into the mesh is their owner's to say.
//
// A namespace that a client names of itself is not made: its app runs there
// already, and whose it is no intent says.
func namespaceObject(group *intent.Object) Resource {
	origins := []intent.Path{group.Path}
	return Resource{
		Type: Types[Namespace], Name: group.Spec.(*intent.GroupSpec).Namespace,
		Labels:      map[string]string{managedByLabel: managedBy}, // no revision: on a namespace it asks for injection
		Annotations: annotationsFor(origins, keepAnnotations),
		CreatedAt:   group.Metadata.CreatedAt,
		Spec:        kubernetesSpec(&corev1.Namespace{}),
		Origins:     origins,
	}
}
