// Package hub runs the real meshwright binary for whole-system tests: as a
// process of its own, so that it can be killed, paused and started again on
// the same data.
package hub
