// Package istiod builds and runs a real, unmodified istiod without Kubernetes.
//
// Each istiod gets an API server stub of its own that knows of nothing (istiod
// panics without a Kubernetes client), an xDS configuration source first and
// k8s:// second. Everything listens on loopback, on ports that the kernel
// chooses and istiod's log tells, so that any number can run side by side.
//
// The source must be up when istiod starts, or istiod exits at once.
//
// # Telling clusters apart
//
// A plain istiod says nothing about the cluster it belongs to; a source can
// only look at the name that it dialled. istiod resolves that name as Go does
// (DNS and /etc/hosts), so an invented name such as edge1.localtest can't be
// used without changing the machine. But all of 127.0.0.0/8 is loopback on
// Linux, so a source that listens on 0.0.0.0 or on each address is dialled as
// 127.0.0.2:PORT by one istiod, 127.0.0.3:PORT by the next, and sees that as
// :authority. At makes such an address. With TLS, TLS.SNI does the same with
// a name: it is both the SNI and the :authority, wherever the address points.
package istiod
