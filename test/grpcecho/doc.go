// Package grpcecho is a data plane without Envoy: tiny gRPC servers that
// answer with their name, and a proxyless gRPC client that gets its routing
// from an istiod over xDS.
package grpcecho
