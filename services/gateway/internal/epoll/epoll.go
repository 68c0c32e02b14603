// Package epoll serves plain HTTP/1.1 by event loops on Linux: one loop for
// each core, edge triggered, with two reads and two writes for a small request.
// What is not plain it hands to package engine, with the bytes it has read, or
// with the exchange that has begun: TLS never gets here; HTTP/2, upgrades,
// bodies that are large or chunked, routes with retries, copies, coding or
// anything that waits, and requests that are malformed leave as they are seen.
//
//	epoll.go           Config
//	set_linux.go       Set: the loops, and how connections get to them
//	loop_linux.go      one loop: dispatch, deadlines
//	wait_linux.go      how a loop waits, calm and busy
//	table_linux.go     sockets by slot and generation
//	sys_linux.go       system calls that do not tell the scheduler
//	client_linux.go    a client's connection: heads in, answers out
//	exchange_linux.go  an exchange from its head to its end
//	try_linux.go       tries at endpoints: the request out, the answer's head in
//	body_linux.go      the answer's body
//	splice_linux.go    bodies moved by the kernel
//	pool_linux.go      connections to endpoints
//	resolve_linux.go   names of endpoints
//	handover_linux.go  what goes to the engine
//
// A loop owns its sockets alone: no other goroutine reads, writes or closes
// them. An event names a slot and the generation of the socket in it, so that
// one for a socket that is closed reaches nobody, whoever has its descriptor
// now; a socket closes its descriptor once and forgets it.
//
// Of a batch of events all are read and decided about before anything is sent,
// 32 at most at once: see loop.later.
//
// A busy loop keeps its processor while it waits for a millisecond, so it takes
// one of GOMAXPROCS for itself, which is raised by one as long. A calm one waits
// as goroutines do and takes nothing from TLS and HTTP/2.
package epoll

import (
	"errors"
	"log/slog"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/engine"
	"github.com/backlot-video/backlot/services/gateway/internal/relay"
)

// ErrUnsupported is what New says where there is no epoll.
var ErrUnsupported = errors.New("the epoll engine needs Linux")

// Config of a Set. Zero fields mean the defaults, which are package engine's.
type Config struct {
	Relay  *relay.Relay
	Engine *engine.Server // takes what is not for a loop, and counts all connections

	Loops         int           // default: GOMAXPROCS
	HeaderTimeout time.Duration // of a request's head; default 10 s
	IdleTimeout   time.Duration // between requests; default 2 min
	BodyTimeout   time.Duration // without a byte of a request's body; default 1 min
	WriteTimeout  time.Duration // without a byte that the client takes; default 1 min
	MaxHeader     int           // bytes of a request's head; default 64 KiB
	Log           *slog.Logger

	busyFrom int // events between two sweeps; tests alone set it
}

func (c *Config) setDefaults() {
	for _, d := range []struct {
		value *time.Duration
		usual time.Duration
	}{
		{&c.HeaderTimeout, 10 * time.Second},
		{&c.IdleTimeout, 2 * time.Minute},
		{&c.BodyTimeout, time.Minute},
		{&c.WriteTimeout, time.Minute},
	} {
		if *d.value == 0 {
			*d.value = d.usual
		}
	}
	if c.busyFrom == 0 {
		c.busyFrom = 250
	}
	if c.MaxHeader == 0 {
		c.MaxHeader = 64 << 10
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}
