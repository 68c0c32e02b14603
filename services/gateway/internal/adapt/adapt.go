// Package adapt joins exchanges and net/http: handlers of net/http serve
// exchanges, and servers of net/http are engines.
//
//	handler.go  Serve: a handler of net/http as the target of an exchange
//	engine.go   Handler: exchanges out of requests of net/http
//
// It is for what is not on the hot path: names and values are copied.
package adapt
