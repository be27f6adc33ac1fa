package proxy

import (
	"cmp"
	"maps"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

// Node is the proxy to pretend to be. The zero Node is a sidecar in the
// namespace default.
type Node struct {
	// Type is "sidecar" (the default) or "router", which is a gateway.
	Type string
	// Name is the pod's ("client-1" when empty), Namespace its namespace
	// ("default"), IP its address ("127.0.0.1").
	Name, Namespace, IP string
	// Labels are the pod's: what Gateways, Sidecars and workload selectors
	// match.
	Labels map[string]string
	// ServiceAccount is "default" when empty.
	ServiceAccount string
	// IstioVersion is the proxy's own, which some features depend on; "1.31.0"
	// when empty.
	IstioVersion string
	// ClusterID is "Kubernetes" when empty, as istiod's is.
	ClusterID string
	// Network is none when empty.
	Network string
	// Locality is region[/zone[/subzone]].
	Locality string
	// Metadata is added to what is made of the fields above and wins.
	Metadata map[string]any
}

// ID is the node id that istiod takes apart.
func (n Node) ID() string {
	n = n.withDefaults()
	return n.Type + "~" + n.IP + "~" + n.Name + "." + n.Namespace +
		"~" + n.Namespace + ".svc.cluster.local"
}

// Proto is the node as it is sent. It panics on Metadata that isn't JSON.
func (n Node) Proto() *corev3.Node {
	n = n.withDefaults()
	labels := map[string]any{}
	for k, v := range n.Labels {
		labels[k] = v
	}
	meta := map[string]any{
		"NAME":            n.Name,
		"NAMESPACE":       n.Namespace,
		"LABELS":          labels,
		"ISTIO_VERSION":   n.IstioVersion,
		"CLUSTER_ID":      n.ClusterID,
		"INSTANCE_IPS":    n.IP,
		"SERVICE_ACCOUNT": n.ServiceAccount,
	}
	if n.Network != "" {
		meta["NETWORK"] = n.Network
	}
	maps.Copy(meta, n.Metadata)
	fields, err := structpb.NewStruct(meta)
	if err != nil {
		panic("proxy.Node: Metadata: " + err.Error())
	}
	region, rest, _ := strings.Cut(n.Locality, "/")
	zone, subzone, _ := strings.Cut(rest, "/")
	return &corev3.Node{
		Id:       n.ID(),
		Cluster:  n.Name + "." + n.Namespace,
		Metadata: fields,
		Locality: &corev3.Locality{Region: region, Zone: zone, SubZone: subzone},
	}
}

func (n Node) withDefaults() Node {
	n.Type = cmp.Or(n.Type, "sidecar")
	n.Name = cmp.Or(n.Name, "client-1")
	n.Namespace = cmp.Or(n.Namespace, "default")
	n.IP = cmp.Or(n.IP, "127.0.0.1")
	n.ServiceAccount = cmp.Or(n.ServiceAccount, "default")
	n.IstioVersion = cmp.Or(n.IstioVersion, "1.31.0")
	n.ClusterID = cmp.Or(n.ClusterID, "Kubernetes")
	return n
}
