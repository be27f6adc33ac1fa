package snapshot

import (
	"encoding/base64"
	"slices"

	networking "istio.io/api/networking/v1alpha3"
	apitype "istio.io/api/type/v1beta1"
	corev1 "k8s.io/api/core/v1"

	"github.com/meshwright/meshwright/intent"
)

// systemCAs is Istio's word for the certificates that the proxy's image
// trusts. It is always written: releases before 1.24 verify nothing when no CA
// is named.
const systemCAs = "system"

// originateTLS has the sidecars open TLS. Istio hands secrets only to sidecars
// that a DestinationRule selects by label, so each label with credentials has
// a rule of its own. A proxy obeys one rule: each one names every port.
//
// Where there are such rules, the one for all other proxies is exported to the
// namespace by its name, not by ".": istiod would merge rules with the same
// exportTo, selectors or not, and lose the second.
func (e *outside) originateTLS(out *output) {
	var labels []string
	for _, o := range e.outbounds {
		if o.spec.HasCredentials() && !slices.Contains(labels, o.spec.AppLabel) {
			labels = append(labels, o.spec.AppLabel)
		}
	}
	if slices.ContainsFunc(e.outbounds, func(o outbound) bool { return o.spec.TLS != nil }) {
		spec := e.rule("")
		if len(labels) > 0 {
			spec.ExportTo = []string{e.namespace}
		}
		out.resources = append(out.resources, e.shared(DestinationRule, spec))
	}
	for _, label := range labels {
		i := slices.IndexFunc(e.outbounds, func(o outbound) bool { return o.spec.HasCredentials() && o.spec.AppLabel == label })
		out.resources = append(out.resources, e.resource(DestinationRule, e.namespace, &e.outbounds[i], roleChosen, e.rule(label), e.outbounds...))
	}
}

// rule is what the pods with a label do on each port; with label "" all pods
// that no rule selects.
func (e *outside) rule(label string) *networking.DestinationRule {
	spec := &networking.DestinationRule{Host: e.host, TrafficPolicy: &networking.TrafficPolicy{}, ExportTo: []string{"."}}
	if label != "" {
		key, value := intent.SplitLabel(label)
		spec.WorkloadSelector = &apitype.WorkloadSelector{MatchLabels: map[string]string{key: value}}
	}
	for _, o := range e.outbounds {
		tls := o.clientTLS()
		if tls == nil {
			continue
		}
		if o.spec.HasCredentials() && o.spec.AppLabel != label {
			// Pods without the credentials must not send in plain text what is
			// meant for TLS. They open it all the same, and likely fail.
			tls.Mode, tls.CredentialName, tls.CaCertificates = networking.ClientTLSSettings_SIMPLE, "", systemCAs
		}
		spec.TrafficPolicy.PortLevelSettings = append(spec.TrafficPolicy.PortLevelSettings, portTLS(o.spec.Port, tls))
	}
	return spec
}

func portTLS(port int, tls *networking.ClientTLSSettings) *networking.TrafficPolicy_PortTrafficPolicy {
	return &networking.TrafficPolicy_PortTrafficPolicy{Port: &networking.PortSelector{Number: uint32(port)}, Tls: tls}
}

// clientTLS is how the mesh connects to the service, or nil to leave it to the
// app. The server has to prove the very name that it is asked for.
func (o *outbound) clientTLS() *networking.ClientTLSSettings {
	t := o.spec.TLS
	if t == nil {
		return nil
	}
	if !o.spec.Originates() {
		return &networking.ClientTLSSettings{Mode: networking.ClientTLSSettings_DISABLE}
	}
	name := t.SNI
	if name == "" {
		name = o.spec.ExternalServiceName
	}
	tls := &networking.ClientTLSSettings{
		Mode: networking.ClientTLSSettings_SIMPLE, Sni: name, SubjectAltNames: []string{name}, CredentialName: t.CredentialName,
	}
	if t.Mode == intent.TLSMutual {
		tls.Mode = networking.ClientTLSSettings_MUTUAL
	}
	switch {
	case !o.spec.HasCredentials():
		tls.CaCertificates = systemCAs
	case t.CredentialName == "":
		tls.CredentialName = o.secretName()
	}
	return tls
}

func (o *outbound) secretName() string { return objectName(o.Path, roleMain) }

// secret holds the certificates that the intent gives, under the keys that
// istiod reads, in the namespace of the proxy that uses them. Its type is
// Opaque whatever it holds: a Secret's type can't change.
func (e *outside) secret(o *outbound, out *output) {
	if !o.spec.HasCredentials() || o.spec.TLS.CredentialName != "" {
		return
	}
	if e.record.Delivery == intent.DeliverXDS {
		out.problem(o.Path, "cluster %s takes no bundles (delivery xds), and certificates reach it in no other way: calls fail until the Secret of its bundle is applied. Set delivery to both, or name a secret that is there by tls.credentialName", e.cluster.Path.ClusterName())
	}
	secret := &corev1.Secret{Type: corev1.SecretTypeOpaque, Data: map[string][]byte{}}
	t := o.spec.TLS
	for key, text := range map[string]string{"tls.crt": t.ClientCertificate, "tls.key": t.ClientPrivateKey, "ca.crt": t.CACertificate} {
		if text == "" {
			continue
		}
		pem, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			out.problem(o.Path, "the certificates for %s can't be read", key) // a write of such is refused
			return
		}
		secret.Data[key] = pem
	}
	namespace := e.namespace
	if e.gateway != nil {
		namespace = e.gateway.Namespace
	}
	out.resources = append(out.resources, e.resource(Secret, namespace, o, roleMain, kubernetesSpec(secret)))
}
