// Package intentapi is the REST API: it decodes and validates what users ask,
// proposes it to the store, and presents what is stored, what each cluster
// gets and how far it has come.
//
// Every request runs through one wrapper, [API.serve], that gives it an id, a
// span, the Set it is answered from, one place where errors become statuses,
// metrics and one log event. An endpoint is a function from a request to an
// answer. The OpenAPI document, openapi.yaml, is part of the program: bodies
// are checked against its schemas, and query parameters against its lists.
package intentapi
