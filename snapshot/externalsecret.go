package snapshot

import (
	"encoding/base64"

	corev1 "k8s.io/api/core/v1"
)

// externalSecrets deliver the certificate, key and CA certificates that an
// intent holds, to each namespace with an ingress gateway.
func (p *plan) externalSecrets(x *external, out *output) {
	if x.secret == nil {
		return
	}
	data := map[string][]byte{
		corev1.TLSCertKey:       pemOf(x.secret.ServiceCertificate),
		corev1.TLSPrivateKeyKey: pemOf(x.secret.ServicePrivateKey),
	}
	if x.mutual {
		data[corev1.ServiceAccountRootCAKey] = pemOf(x.secret.CACertificate) // ca.crt
	}
	for _, namespace := range x.namespaces() {
		spec := kubernetesSpec(&corev1.Secret{Type: corev1.SecretTypeTLS, Data: data})
		out.resources = append(out.resources, p.resource(Secret, namespace, p.inbound.Path, roleExternal, spec))
	}
}

// namespaces lists those of the ingress gateways, each once, in order.
func (x *external) namespaces() []string {
	var out []string
	for _, g := range x.gateways {
		out = append(out, g.Namespace)
	}
	return sortedUnique(out)
}

// pemOf is the PEM that an intent holds in base64. A Secret's own base64 comes
// when it is written.
func pemOf(text string) []byte {
	pem, _ := base64.StdEncoding.DecodeString(text) // the intent's own validation let it pass
	return pem
}
