// Package rpc serves and calls Backlot's services: in process, over Kitex and
// over Connect, always through the same two chains of interceptors.
//
// The server chain of a call, outermost first: trace, metrics, error mapping,
// recover, in-flight limit, deadline, principal, access by method, message
// validation, Config.Interceptors, the handler. The client chain: metrics,
// trace, in-flight limit, deadline, principal, Config.Interceptors, retries
// within a budget, circuit breaker, the choice of an endpoint.
//
//	chain.go         Handler, Interceptor, what travels beside a message
//	server.go        Server: NewServer, Handle, Shutdown
//	serverchain.go   the server chain
//	dialer.go        Dialer: Conn and HTTPClient by a service's name
//	clientchain.go   the client chain; policy.go, breaker.go and retry.go feed it
//	resolver.go      Endpoint, Static, Locals, Fallback; pool.go picks among endpoints
//	local.go         in process
//	connect*.go      Connect, and plain HTTP beside it
//	kitex*.go        Kitex: TTHeader on loopback and unix sockets, gRPC over TLS elsewhere
//	errors.go        *connect.Error to and from what each transport carries
//	trace.go metrics.go validate.go
//
// What an assembler needs:
//
//	func NewServer(config ServerConfig) *Server
//	func (s *Server) Handle(desc rpcdesc.Service, impl any)               // before ServeKitex
//	func (s *Server) HandleHTTP(pattern string, handler http.Handler)     // http.ServeMux pattern
//	func (s *Server) Serve(listener net.Listener) error                   // Connect and raw HTTP; blocks until Shutdown, then nil
//	func (s *Server) ServeKitex(listener net.Listener) error              // the same methods for hot paths
//	func (s *Server) Handler() http.Handler                               // what Serve serves
//	func (s *Server) Local() rpcdesc.Conn                                 // the server chain without a network
//	func (s *Server) Shutdown(ctx context.Context) error                  // refuses new calls, waits for those in flight
//
//	func NewDialer(config ClientConfig) *Dialer
//	func (d *Dialer) Conn(service string) rpcdesc.Conn                    // full client chain
//	func (d *Dialer) HTTPClient(service string) (*http.Client, string)    // for streaming calls: base URL
//	func (d *Dialer) Close() error
//
//	type Resolver interface{ Resolve(service string) []Endpoint }
//	func Static(endpoints map[string][]Endpoint) Resolver
//	func NewLocals() *Locals                                              // a Resolver of servers in this process
//	func (l *Locals) Add(service string, server *Server)
//	func (l *Locals) Remove(service string)
//	func Fallback(first Resolver, then ...Resolver) Resolver              // the first answer that is not empty
//
//	func AsCaller(ctx context.Context) context.Context                    // the next calls pass on the caller's principal
//
// "service" above is a deployable service ("settlement"), which serves one or
// more proto services.
//
// The package opens no listener, reads no configuration and resolves no
// names: the caller hands these in. All types are safe for concurrent use.
package rpc
