// Command meshwright is the one binary of Meshwright: the server, and the
// client commands that talk to it over REST.
//
// Each command stands in the file of its name. What they share: document.go
// reads files into documents, emco.go takes those of EMCO's emcoctl, client.go
// speaks HTTP, problem.go and exit.go turn failures into messages and exit
// codes, output.go prints.
package main
