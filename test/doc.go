// Package test holds the whole-system tests: a real istiod without
// Kubernetes, readers that pretend to be its proxies, and a proxyless gRPC
// data plane. It is a module of its own so that the product never depends on
// what only its tests need. Run it with "make e2e".
package test
