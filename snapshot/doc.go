// Package snapshot turns intents into each cluster's Istio objects.
//
// The generators are pure: the same [intent.Set] and cluster give the same
// bytes on every replica. [Views] keeps the result current: after a change it
// rebuilds the intents that the change concerns, on the clusters they concern,
// and nothing else.
//
// Three values carry the work from here to the xDS server and the bundles. An
// [Object] is one Istio object, encoded and hashed once. A [TypeSet] holds all
// objects of one type that some cluster gets; clusters with the same objects
// share it, and with it the encoded messages. A [View] is one cluster's type
// sets at one revision.
package snapshot
