// Package node builds one Meshwright server out of its parts, starts it and
// stops it. It is importable so that tests run the real thing.
package node
