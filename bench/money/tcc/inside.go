package tcc

import (
	"context"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/backlot-video/backlot/bench/internal/measure"
)

const (
	rounds = 3
	warm   = 400 * time.Millisecond
	lasts  = 2500 * time.Millisecond
)

// inside is the comparison, in a namespace without anybody else.
func inside(r *measure.Report, part, dir string) error {
	if err := loopbackUp(); err != nil {
		return err
	}
	b, err := newBench(dir)
	if err != nil {
		return err
	}
	defer b.close()
	if part == "recovery" {
		return b.recovery(r)
	}
	return b.throughput(r)
}

// bench has the servers.
type bench struct {
	dir          string
	participants *participants
	postgres     *server
	dtm          *server
	ours, sqlite *coordinator
	bare         *coordinator // without facts, which DTM does not tell either
}

func newBench(dir string) (*bench, error) {
	b := &bench{dir: dir}
	var err error
	if b.participants, err = startParticipants(); err != nil {
		return nil, err
	}
	if b.postgres, err = startPostgres(dir); err != nil {
		return nil, err
	}
	if err := prepareDTM(context.Background(), dir); err != nil {
		return nil, err
	}
	if b.dtm, err = startDTM(dir); err != nil {
		return nil, err
	}
	b.ours = &coordinator{dir: dir, name: "postgresql", address: "127.0.0.1:28103", kitex: "127.0.0.1:28203", database: postgresURL(), participants: b.participants}
	b.sqlite = &coordinator{dir: dir, name: "sqlite", address: "127.0.0.1:28104", kitex: "127.0.0.1:28204", participants: b.participants}
	b.bare = &coordinator{
		dir: dir, name: "bare", address: "127.0.0.1:28106", kitex: "127.0.0.1:28206", database: postgresURL(),
		participants: b.participants, extra: []string{"--coordinator.facts=false"},
	}
	for _, o := range []*coordinator{b.ours, b.sqlite, b.bare} {
		if err := o.start(); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b *bench) close() {
	for _, s := range []*server{b.dtm, b.ours.server, b.sqlite.server, b.bare.server} {
		s.end(os.Kill)
	}
	b.postgres.end(syscall.SIGQUIT)
	_ = b.participants.server.Shutdown()
}

// with adds the database's processor time to a server's.
func (b *bench) with(s *server, database bool) func() (time.Duration, error) {
	return func() (time.Duration, error) {
		total, err := s.cpu()
		if err != nil || !database {
			return total, err
		}
		family, err := familyTime(b.postgres.cmd.Process.Pid)
		return total + family, err
	}
}

// contender is one way to drive transactions.
type contender struct {
	name string
	one  transaction
	cpu  func() (time.Duration, error)
}

func (b *bench) contenders() []contender {
	return []contender{
		{dtmName, dtm(b.participants), b.with(b.dtm, true)},
		{"initiator", b.ours.initiate(), b.with(b.ours.server, true)},
		{"initiator, no facts", b.bare.initiate(), b.with(b.bare.server, true)},
		{"one call", b.ours.submit(), b.with(b.ours.server, true)},
		{"one call, no facts", b.bare.submit(), b.with(b.bare.server, true)},
		{"one call by Kitex", b.ours.submitByKitex(), b.with(b.ours.server, true)},
		{"one call by Kitex, no facts", b.bare.submitByKitex(), b.with(b.bare.server, true)},
		{"one call, SQLite", b.sqlite.submit(), b.with(b.sqlite.server, false)},
	}
}

func (b *bench) throughput(r *measure.Report) error {
	contenders := b.contenders()
	for _, clients := range []int{16, 64} {
		best := make([]figures, len(contenders))
		for range rounds {
			for i, c := range contenders {
				got, err := load(c.one, clients, warm, lasts, c.cpu)
				if err != nil {
					return fmt.Errorf("%s with %d clients: %w", c.name, clients, err)
				}
				best[i] = better(best[i], got)
			}
		}
		for i, c := range contenders[1:] {
			if err := report(r, c.name, clients, best[i+1], best[0]); err != nil {
				return err
			}
		}
	}
	return nil
}

// better takes each figure from the better of two rounds: noise only adds.
func better(a, b figures) figures {
	if a.n == 0 {
		return b
	}
	a.perSecond, a.n = max(a.perSecond, b.perSecond), a.n+b.n
	a.p50, a.p99, a.cpu = min(a.p50, b.p50), min(a.p99, b.p99), min(a.cpu, b.cpu)
	return a
}

func report(r *measure.Report, name string, clients int, ours, peer figures) error {
	milliseconds := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	micros := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	return r.Print(measure.Line{
		Bench: "money/tcc", Unit: "transactions/s", Ours: ours.perSecond, Peer: dtmName, PeerValue: peer.perSecond, Higher: true,
		Extra: []measure.Extra{
			{Name: "api", Value: name},
			{Name: "clients", Value: clients},
			{Name: "p50_ms", Value: milliseconds(ours.p50)},
			{Name: "peer_p50_ms", Value: milliseconds(peer.p50)},
			{Name: "p99_ms", Value: milliseconds(ours.p99)},
			{Name: "peer_p99_ms", Value: milliseconds(peer.p99)},
			{Name: "p99_ratio", Value: float64(peer.p99) / float64(ours.p99)},
			{Name: "cpu_us", Value: micros(ours.cpu)},
			{Name: "peer_cpu_us", Value: micros(peer.cpu)},
			{Name: "cpu_ratio", Value: float64(peer.cpu) / float64(ours.cpu)},
		},
	})
}
