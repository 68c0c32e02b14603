// Package adapt joins exchanges and net/http, both ways.
//
//	handler.go  Serve: a handler of net/http as the target of an exchange, for
//	            media and the console
//	server.go   Server: exchanges over a server that calls net/http's handlers,
//	            as those of HTTP/3 do
//	client.go   the client's side of such an exchange
//
// It is for what is not on the hot path: names and values are copied. Bodies
// are not, and files go by the kernel where the client's engine can.
package adapt
