// Package gatewayapi holds a test of its own, because it links most of istiod:
// what Istio makes of generated objects of the Kubernetes Gateway API.
package gatewayapi
