package intentapi

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/meshwright/meshwright/intent"
)

// shown is an object as answers and events show it: with fingerprints in the
// place of private keys.
func shown(o *intent.Object) *intent.Object {
	if o == nil {
		return nil
	}
	switch spec := o.Spec.(type) {
	case *intent.InboundSpec:
		if spec.External == nil || spec.External.ExternalCerts == nil || spec.External.ExternalCerts.ServicePrivateKey == "" {
			return o
		}
		certs := *spec.External.ExternalCerts
		certs.ServicePrivateKey = fingerprint(certs.ServicePrivateKey)
		external := *spec.External
		external.ExternalCerts = &certs
		open := *spec
		open.External = &external
		return withSpec(o, &open)
	case *intent.OutboundSpec:
		if spec.TLS == nil || spec.TLS.ClientPrivateKey == "" {
			return o
		}
		tls := *spec.TLS
		tls.ClientPrivateKey = fingerprint(tls.ClientPrivateKey)
		open := *spec
		open.TLS = &tls
		return withSpec(o, &open)
	}
	return o
}

func withSpec(o *intent.Object, spec intent.Spec) *intent.Object {
	next := *o
	next.Spec = spec
	return &next
}

// fingerprint tells one key from another and gives nothing of it away.
func fingerprint(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "sha256:" + hex.EncodeToString(sum[:])
}
