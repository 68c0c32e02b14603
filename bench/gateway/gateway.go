//go:build linux

// Package gateway compares the gateway with nginx, HAProxy and the standard
// library's ReverseProxy: processes that pass the same requests on to one
// backend, in turns, in one run.
//
//	gateway.go     the comparisons
//	rig.go         programs built, backend, certificate; proxies started and ended
//	ours.go        the gateway, and the configstore that configures it
//	peers.go       nginx, HAProxy, ReverseProxy and their settings
//	round.go       rounds of load, and lines of them
//	idle.go        memory of connections that only stay
//	backend, load, reverse  programs of this benchmark
//	internal       epoll, /proc
//
// The proxy has one processor, load and backend the other one.
package gateway

import (
	"time"

	"github.com/backlot-video/backlot/bench/internal/measure"
)

// Benches are the comparisons of this package.
var Benches = []measure.Bench{
	{Name: "gateway/small", Run: func(r *measure.Report) error { return small.run(r) }},
	{Name: "gateway/large", Run: func(r *measure.Report) error { return large.run(r) }},
	{Name: "gateway/tls", Run: func(r *measure.Report) error { return overTLS.run(r) }},
	{Name: "gateway/h2", Run: func(r *measure.Report) error { return overHTTP2.run(r) }},
	{Name: "gateway/policies", Run: func(r *measure.Report) error { return policies.run(r) }},
	{Name: "gateway/idle", Run: idle},
}

// scenario is one kind of load.
type scenario struct {
	name        string
	mode        string // of the load
	size        int    // bytes of an answer
	connections int
	streams     int // for each connection, HTTP/2 only
	secure      bool
	policed     bool // with an access log
	volume      bool // what counts is CPU for each GB, not each request
	rounds      int
	lasts       time.Duration
	contenders  []contender // ours first
}

// threadsName is the gateway with the other engine.
const threadsName = "gateway goroutine"

// contender is a way to run a proxy, and the path asked for where it is not
// the answer's size.
type contender struct {
	name   string
	start  func(*rig, scenario) (*proxy, error)
	prefix string
	signed bool // requests carry a token
}

// startPoliced is the gateway with an access log.
func startPoliced(r *rig, s scenario) (*proxy, error) {
	s.policed = true
	return startGateway(r, s)
}

var (
	everyone = []contender{
		{name: "gateway", start: startGateway},
		{name: threadsName, start: startThreads},
		{name: nginxName, start: startNginx},
		{name: haproxyName, start: startHAProxy},
		{name: "net/http/httputil.ReverseProxy", start: startReverse},
	}
	small = scenario{
		name: "gateway/small", mode: "http1", size: 128, connections: 64, rounds: 5, lasts: 1500 * time.Millisecond, contenders: everyone,
	}
	large = scenario{
		name: "gateway/large", mode: "http1", size: 8 << 20, connections: 4, volume: true, rounds: 4, lasts: 1500 * time.Millisecond,
		contenders: append(everyone[:len(everyone):len(everyone)], contender{name: haproxyName + " splice-response", start: startSplicingHAProxy}),
	}
	overTLS = scenario{
		name: "gateway/tls", mode: "tls", size: 128, connections: 64, secure: true, rounds: 5, lasts: 1500 * time.Millisecond, contenders: everyone,
	}
	overHTTP2 = scenario{
		name: "gateway/h2", mode: "http2", size: 128, connections: 8, streams: 8, secure: true, rounds: 5, lasts: 1500 * time.Millisecond,
		contenders: everyone,
	}
	policies = scenario{
		name: "gateway/policies", mode: "http1", size: 128, connections: 64, rounds: 7, lasts: 1500 * time.Millisecond,
		contenders: []contender{
			{name: "gateway with policies", start: startPoliced, prefix: "/policed", signed: true},
			{name: "gateway without", start: startGateway},
		},
	}
)
