package istiod

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"sigs.k8s.io/yaml"
)

// Config says which istiod to start. Only ConfigSource is required.
type Config struct {
	// ConfigSource is the host:port of the xDS configuration source.
	ConfigSource string
	// TLS is nil for a plaintext source.
	TLS *TLS

	// ClusterID is the cluster that istiod believes to run in; "Kubernetes"
	// when empty. It is not told to the source.
	ClusterID string
	// Network is not istiod's business: without a Kubernetes registry a
	// network is only what a proxy says of itself. It is kept here for the
	// proxies that a test connects to this istiod.
	Network string
	// Namespace is istiod's own and the default of RootNamespace;
	// istio-system when empty.
	Namespace string
	// RootNamespace is where mesh-wide policies are looked for; Namespace when
	// empty.
	RootNamespace string
	// PodName is the workload part of the node id that the source sees;
	// "istiod-0" when empty.
	PodName string
	// Revision is told to the source as ISTIO_REVISION when it isn't empty.
	Revision string

	// DebounceAfter is how long istiod waits for more changes before it pushes
	// to its proxies: 5 ms when zero, where istiod's own default is 100 ms.
	DebounceAfter time.Duration

	// MeshConfig is YAML whose top level is added to the mesh configuration.
	MeshConfig string
	// MeshNetworks is the YAML of istiod's networks file; none when empty.
	MeshNetworks string
	// Env is added to istiod's environment, as NAME=value.
	Env []string

	// HTTPAddr and XDSAddr are where to listen; 127.0.0.1:0 when empty. Set
	// them to start an istiod again where an earlier one was.
	HTTPAddr, XDSAddr string
}

// TLS is how istiod reaches a source over TLS. istiod can't present a client
// certificate to a source.
type TLS struct {
	// CACert is the PEM of the authority that signed the source's certificate.
	CACert string
	// SNI becomes the server name, the :authority and the name that the
	// certificate is verified against. When empty all three come from the
	// address.
	SNI string
	// SubjectAltNames are enforced in addition when there are any.
	SubjectAltNames []string
}

// At replaces the host of a host:port by 127.0.0.n, so that the source at that
// port sees an :authority of its own for each n.
func At(n int, hostport string) string {
	_, port, err := net.SplitHostPort(hostport)
	if err != nil {
		panic("istiod.At: " + err.Error())
	}
	return net.JoinHostPort("127.0.0."+strconv.Itoa(n), port)
}

// withDefaults fills what the caller left empty.
func (c Config) withDefaults() Config {
	def := func(s *string, value string) {
		if *s == "" {
			*s = value
		}
	}
	def(&c.ClusterID, "Kubernetes")
	def(&c.Namespace, "istio-system")
	def(&c.RootNamespace, c.Namespace)
	def(&c.PodName, "istiod-0")
	def(&c.HTTPAddr, "127.0.0.1:0")
	def(&c.XDSAddr, "127.0.0.1:0")
	if c.DebounceAfter == 0 {
		c.DebounceAfter = 5 * time.Millisecond
	}
	return c
}

// mesh returns the mesh configuration file.
func (c Config) mesh() ([]byte, error) {
	source := map[string]any{"address": "xds://" + c.ConfigSource}
	if c.TLS != nil {
		settings := map[string]any{"mode": "SIMPLE", "caCertificates": c.TLS.CACert}
		if c.TLS.SNI != "" {
			settings["sni"] = c.TLS.SNI
		}
		if len(c.TLS.SubjectAltNames) > 0 {
			settings["subjectAltNames"] = c.TLS.SubjectAltNames
		}
		source["tlsSettings"] = settings
	}
	mesh := map[string]any{
		"rootNamespace": c.RootNamespace,
		"configSources": []any{source, map[string]any{"address": "k8s://"}},
	}
	extra := map[string]any{}
	if err := yaml.Unmarshal([]byte(c.MeshConfig), &extra); err != nil {
		return nil, fmt.Errorf("reading MeshConfig: %w", err)
	}
	for k, v := range extra {
		mesh[k] = v
	}
	return yaml.Marshal(mesh)
}

// flags are istiod's arguments. One listener serves readiness, debug and
// metrics, another plain xDS; everything that needs certificates is off.
func (c Config) flags(mesh, networks, kubeconfig string) []string {
	return []string{
		"discovery",
		"--registries=",
		"--clusterID=" + c.ClusterID,
		"--namespace=" + c.Namespace,
		"--meshConfig=" + mesh,
		"--networksConfig=" + networks,
		"--kubeconfig=" + kubeconfig,
		"--httpAddr=" + c.HTTPAddr,
		"--grpcAddr=" + c.XDSAddr,
		"--monitoringAddr=",
		"--httpsAddr=",
		"--secureGRPCAddr=",
		"--ctrlz_address=127.0.0.1",
		"--ctrlz_port=0",
	}
}

// env is istiod's whole environment: nothing is inherited.
func (c Config) env() []string {
	env := []string{
		"POD_NAME=" + c.PodName,
		"POD_NAMESPACE=" + c.Namespace,
		"ENABLE_CA_SERVER=false",
		"PILOT_CERT_PROVIDER=none",
		"VALIDATION_WEBHOOK_CONFIG_NAME=",
		"INJECTION_WEBHOOK_CONFIG_NAME=",
		"PILOT_DEBOUNCE_AFTER=" + c.DebounceAfter.String(),
	}
	if c.Revision != "" {
		env = append(env, "REVISION="+c.Revision)
	}
	return append(env, c.Env...)
}
