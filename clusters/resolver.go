package clusters

import (
	"fmt"
	"strings"

	"github.com/meshwright/meshwright/intent"
)

// Sets gives the current intents. It may be called often and by many
// goroutines at once.
type Sets interface {
	Set() *intent.Set
}

// Resolver tells which cluster a connection belongs to. A plain istiod sends
// no identity at all, so the name it dials is all there is to go by: what
// Resolver answers is an address, never a credential.
type Resolver struct {
	sets     Sets
	fallback intent.Path // "" when there is none
}

// NewResolver returns a Resolver over the clusters in sets. The cluster
// defaultCluster, "provider/cluster", takes each connection whose names are
// known to nobody, as long as that cluster exists; "" means none. The error
// says that defaultCluster is no such pair of names.
func NewResolver(sets Sets, defaultCluster string) (*Resolver, error) {
	r := &Resolver{sets: sets}
	if defaultCluster == "" {
		return r, nil
	}
	provider, cluster, ok := strings.Cut(defaultCluster, "/")
	if !ok {
		return nil, fmt.Errorf("default cluster %q: must be provider/cluster", defaultCluster)
	}
	for _, name := range []string{provider, cluster} {
		if msg := intent.CheckName(name); msg != "" {
			return nil, fmt.Errorf("default cluster %q: %s", defaultCluster, msg)
		}
	}
	r.fallback = intent.ClusterPath(provider, cluster)
	return r, nil
}

// Resolve returns the cluster of a connection that asked for sni in its TLS
// handshake ("" when it is plaintext) and for authority in HTTP/2, each with
// or without a port. ok is false when no cluster is known for it.
//
// The SNI decides when a cluster lists it, because TLS has authenticated us
// under that name. An SNI that no cluster lists, such as that of a load
// balancer in front of several hubs, gives way to the authority, and only
// names that both are unknown fall to the default cluster.
func (r *Resolver) Resolve(sni, authority string) (cluster intent.Path, ok bool) {
	set := r.sets.Set()
	for _, name := range []string{sni, authority} {
		if name == "" {
			continue
		}
		if p := set.ClusterOf(name); p != "" {
			return p, true
		}
	}
	if r.fallback != "" && set.Get(r.fallback) != nil {
		return r.fallback, true
	}
	return "", false
}
