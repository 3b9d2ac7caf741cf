// Benchmarks measures Carillon beside its peers: each runs in a server process
// of its own, while this one holds the clients' sockets and counts what comes
// in. It is a module of its own, so that nobody pays for what the peers need,
// and no load generator for servers elsewhere.
//
//	go run . -scenarios 1,3 -peers floor,carillon
package main
