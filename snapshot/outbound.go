package snapshot

import "github.com/meshwright/meshwright/intent"

// outboundObjects leads apps to a service outside the mesh.
func outboundObjects(set *intent.Set, outbound, cluster *intent.Object, out *output) {}
