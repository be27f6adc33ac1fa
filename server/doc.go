// Package server carries each cluster's snapshot to its istiods and relays
// over xDS, state of the world and delta.
//
// What the client's behaviour demands of it is in DESIGN.md.
package server
