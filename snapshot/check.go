package snapshot

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/validation"
	"istio.io/istio/pkg/config/validation/envoyfilter"
)

// validators are Istio's own, one for each type that istiod takes.
var validators = [typeCount]validation.ValidateFunc{
	ServiceEntry:          validation.ValidateServiceEntry,
	WorkloadEntry:         validation.ValidateWorkloadEntry,
	WorkloadGroup:         validation.ValidateWorkloadGroup,
	DestinationRule:       validation.ValidateDestinationRule,
	Gateway:               validation.ValidateGateway,
	VirtualService:        validation.ValidateVirtualService,
	Sidecar:               validation.ValidateSidecar,
	EnvoyFilter:           envoyfilter.ValidateEnvoyFilter,
	ProxyConfig:           validation.ValidateProxyConfig,
	PeerAuthentication:    validation.ValidatePeerAuthentication,
	RequestAuthentication: validation.ValidateRequestAuthentication,
	AuthorizationPolicy:   validation.ValidateAuthorizationPolicy,
	Telemetry:             validation.ValidateTelemetry,
	WasmPlugin:            validation.ValidateWasmPlugin,
	TrafficExtension:      validation.ValidateTrafficExtension,
}

// check judges an object by Istio's own validation, or by the Kubernetes API's
// fields if it is none of Istio's. The error is the refusal in one line; what Istio merely warns of passes.
func check(r *Resource) error {
	_, err := validate(r)
	return err
}

// validate returns Istio's warning and refusal, each in one line. A validator
// that panics on hostile input refuses it.
func validate(r *Resource) (warning string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the validation of this %s failed: %s", r.Type.Kind, oneLine(fmt.Sprint(p)))
		}
	}()
	if !r.Type.OverXDS() {
		return "", checkKubernetes(r.Type, r.Spec.(*structpb.Struct))
	}
	w, refusal := validators[r.Type.ID](config.Config{
		Meta: config.Meta{
			GroupVersionKind: config.GroupVersionKind{Group: r.Type.Group, Version: r.Type.Version, Kind: r.Type.Kind},
			Name:             r.Name,
			Namespace:        r.Namespace,
			Labels:           r.Labels,
			Annotations:      r.Annotations,
		},
		Spec: r.Spec,
	})
	if w != nil {
		warning = oneLine(w.Error())
	}
	if refusal != nil {
		return warning, fmt.Errorf("%s", oneLine(refusal.Error()))
	}
	return warning, nil
}

// oneLine folds a message with lists and line breaks into one line. It also
// takes out the no-break spaces that protobuf scatters over its messages so
// that nobody relies on them.
func oneLine(s string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(s, "\u00a0", " ")), " ")
}
