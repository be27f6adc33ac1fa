// Package proxy reads what an istiod would tell an Envoy, over a plain ADS
// stream and without an Envoy: it asks for clusters, endpoints, listeners and
// routes as a sidecar or a gateway does and keeps the answers.
package proxy
