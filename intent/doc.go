// Package intent holds what a user can ask of Meshwright: the nouns of the REST
// tree, what makes one legal, and how one [Command] turns one immutable [Set]
// into the next.
//
// It is pure: no clock, random number, environment, log or I/O. Every replica
// that applies the same commands in the same order holds the same Set.
package intent
