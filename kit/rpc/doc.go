// Package rpc serves and calls Backlot's services: in process, over Kitex and
// over Connect, always through the same two chains of interceptors.
//
// The server chain of a call, outermost first: trace, metrics, error mapping,
// recover, in-flight limit, deadline, principal, access by method, the
// implementation's Gatekeeper, decoding (Kitex), message validation,
// Config.Interceptors, the handler. The client chain: metrics, trace, in-flight
// limit, throttle, deadline, principal, Config.Interceptors, retries within a
// budget, circuit breaker, the choice of an endpoint.
//
//	chain.go          Handler, Interceptor, what travels beside a message
//	server.go         Server: NewServer, Handle, Shutdown
//	serverchain.go    the server chain
//	dialer.go         Dialer: Conn by a service's name
//	clientchain.go    the client chain; policy.go, retry.go and kit/breaker feed it
//	throttled.go      calls that a busy service would refuse are held back, by kit/throttle
//	resolver.go       Endpoint, Static, Locals, Fallback; pool.go picks among endpoints
//	local.go          in process
//	connectserver.go  Connect, unary and streaming; connectclient.go
//	connectgate.go    Gatekeepers are asked before a message is read
//	httpserver.go     Serve and HandleHTTP; httpclient.go is Dialer.HTTPClient
//	kitexserver.go    TTHeader on loopback and unix sockets, gRPC over TLS elsewhere;
//	                  kitextransport.go accepts for both, kitexclient.go, kitexerror.go, netpoll.go
//	retrylater.go     errors that say when to try again
//	errors.go         what a caller may see of an error
//	trace.go, metrics.go, validate.go
//
// The transports differ in this: cancellation reaches the handler by all but
// TTHeader, which carries the deadline only; streams go over Connect alone;
// Kitex cannot serve two services that differ only in their package.
//
// What an assembler needs:
//
//	func NewServer(config ServerConfig) *Server
//	func (s *Server) Handle(desc rpcdesc.Service, impl any)               // before ServeKitex
//	func (s *Server) HandleHTTP(pattern string, handler http.Handler)     // http.ServeMux pattern
//	func (s *Server) Serve(listener net.Listener) error                   // Connect and raw HTTP; blocks until Shutdown, then nil
//	func (s *Server) ServeKitex(listener net.Listener) error              // the same methods for hot paths
//	func (s *Server) Handler() http.Handler                               // what Serve serves
//	func (s *Server) Address() string                                     // of the first Serve
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
