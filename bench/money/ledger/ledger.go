// Package ledger measures settlement's ledger beside what is commonly written:
// a transaction for each transfer, which locks both accounts, on the same
// PostgreSQL.
//
//	ledger.go    the comparison
//	ours.go      settlement as a library, on PostgreSQL and on SQLite
//	naive.go     the peer
//	postgres.go  a PostgreSQL of the run's own, with fsync
//	load.go      clients, each with one transfer at a time
package ledger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/backlot-video/backlot/bench/internal/measure"
)

// Benches are the comparisons of the package.
var Benches = []measure.Bench{{Name: "money/ledger", Run: Ledger}}

const (
	clients  = 256
	accounts = 10_000
	rounds   = 3
	runTime  = 3 * time.Second

	heapGrowth = 400
)

// Ledger measures transfers a second of 256 clients, spread over 10,000
// accounts and with one hot account.
func Ledger(report *measure.Report) (err error) {
	ctx := context.Background()
	if os.Getenv("GOGC") == "" { // as in settlement's process; the peer's client has it too
		defer debug.SetGCPercent(debug.SetGCPercent(heapGrowth))
	}
	dir, err := os.MkdirTemp("", "bench-ledger-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	server, err := startPostgres(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.close()) }()
	peer, err := openNaive(ctx, server.url)
	if err != nil {
		return fmt.Errorf("naive: %w", err)
	}
	defer peer.close()
	each, err := connectNaive(ctx, server.url, clients)
	if err != nil {
		return fmt.Errorf("naive: %w", err)
	}
	defer each.close()
	onPostgres, err := openOurs(ctx, "", server.url)
	if err != nil {
		return fmt.Errorf("ours on PostgreSQL: %w", err)
	}
	defer func() { err = errors.Join(err, onPostgres.close()) }()
	onSQLite, err := openOurs(ctx, filepath.Join(dir, "sqlite"), "")
	if err != nil {
		return fmt.Errorf("ours on SQLite: %w", err)
	}
	defer func() { err = errors.Join(err, onSQLite.close()) }()

	best := map[string]result{}
	for range rounds {
		for _, pattern := range []pattern{spread, hot} {
			for _, system := range []struct {
				name string
				book booker
				cpu  func() time.Duration
			}{
				{"pooled", peer, server.cpu}, {"each", each, server.cpu}, {"postgres", onPostgres, server.cpu}, {"sqlite", onSQLite, none},
			} {
				r, err := run(ctx, system.book, pattern, system.cpu)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", system.name, pattern.name, err)
				}
				if name := system.name + " " + pattern.name; r.rate > best[name].rate {
					best[name] = r
				}
			}
		}
	}
	for _, ours := range []*ours{onPostgres, onSQLite} {
		if err := ours.verify(ctx); err != nil {
			return err
		}
	}
	return show(report, best, server.version)
}

func none() time.Duration { return 0 }

// print writes a line for each comparison.
func show(report *measure.Report, best map[string]result, version string) error {
	for _, line := range []struct{ bench, ours, pattern string }{
		{"money/ledger-spread", "postgres", "spread"},
		{"money/ledger-hot", "postgres", "hot"},
		{"money/ledger-sqlite-spread", "sqlite", "spread"},
		{"money/ledger-sqlite-hot", "sqlite", "hot"},
	} {
		ours, pooled, each := best[line.ours+" "+line.pattern], best["pooled "+line.pattern], best["each "+line.pattern]
		peer := pooled
		if each.rate > pooled.rate {
			peer = each
		}
		err := report.Print(measure.Line{
			Bench: line.bench, Unit: "transfers/s", Ours: ours.rate, Higher: true,
			Peer: "a transaction each, FOR UPDATE, pgx, " + version, PeerValue: peer.rate,
			Extra: []measure.Extra{
				{Name: "clients", Value: clients},
				{Name: "p50_ms", Value: ours.p50.Seconds() * 1e3},
				{Name: "p99_ms", Value: ours.p99.Seconds() * 1e3},
				{Name: "peer_p50_ms", Value: peer.p50.Seconds() * 1e3},
				{Name: "peer_p99_ms", Value: peer.p99.Seconds() * 1e3},
				{Name: "cpu_us", Value: ours.cpu.Seconds() * 1e6},
				{Name: "peer_cpu_us", Value: peer.cpu.Seconds() * 1e6},
				{Name: "server_cpu_us", Value: ours.server.Seconds() * 1e6},
				{Name: "allocs", Value: ours.allocs},
				{Name: "peer_allocs", Value: peer.allocs},
				{Name: "cpu_ratio", Value: peer.cpu.Seconds() / ours.cpu.Seconds()},
				{Name: "peer_by_connections", Value: map[string]float64{"64": pooled.rate, "256": each.rate}},
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}
