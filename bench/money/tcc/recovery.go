package tcc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/backlot-video/backlot/bench/internal/measure"
)

const (
	recoveryClients = 256
	recoveryRounds  = 3
	recoveryLimit   = time.Minute
	shortLease      = "500ms"
)

// What is left to do: transactions of ours that have not ended, and those of
// DTM that were submitted; ones that their client had only prepared are
// cancelled by either when their time is over.
const (
	oursLeft = "SELECT COUNT(*) FROM coordinator.open_transactions WHERE owner <> ''"
	dtmLeft  = "SELECT COUNT(*) FROM public.trans_global WHERE status = 'submitted'"
)

// recovery kills a coordinator under load and measures, from its death on, how
// long it takes until all it had under way has ended: by starting it again at
// once, and by another one that runs beside it.
func (b *bench) recovery(r *measure.Report) error {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, postgresURL())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	b.bare.server.end(os.Kill) // it would take part
	peer, _, err := b.kill(conn, dtm(b.participants), dtmLeft, func() *server { return b.dtm }, func() (err error) {
		b.dtm, err = startDTM(b.dir)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", dtmName, err)
	}
	for _, way := range []string{"restart", "another"} {
		if way == "another" {
			stop, err := b.pair()
			if err != nil {
				return err
			}
			defer stop()
		}
		best, most := time.Duration(0), 0
		for range recoveryRounds {
			took, left, err := b.kill(conn, b.ours.submit(), oursLeft, func() *server { return b.ours.server }, func() error {
				if way == "another" {
					return nil
				}
				return b.ours.start()
			})
			if err != nil {
				return fmt.Errorf("%s: %w", way, err)
			}
			if way == "another" {
				if err := b.ours.start(); err != nil {
					return err
				}
			}
			if best == 0 || took < best {
				best, most = took, left
			}
		}
		err := r.Print(measure.Line{
			Bench: "money/tcc-recovery", Unit: "s", Ours: best.Seconds(), Peer: dtmName, PeerValue: peer.Seconds(),
			Extra: []measure.Extra{{Name: "by", Value: way}, {Name: "clients", Value: recoveryClients}, {Name: "unfinished", Value: most}},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// pair restarts ours with a short lease and starts another on the same
// database.
func (b *bench) pair() (stop func(), err error) {
	b.ours.server.end(os.Kill)
	b.ours.extra = []string{"--coordinator.lease", shortLease}
	other := &coordinator{
		dir: b.dir, name: "other", address: "127.0.0.1:28105", kitex: "127.0.0.1:28205", database: postgresURL(),
		participants: b.participants, extra: b.ours.extra,
	}
	if err := errors.Join(b.ours.start(), other.start()); err != nil {
		return nil, err
	}
	return func() { other.server.end(os.Kill) }, nil
}

// kill loads a server, kills it, has it replaced, and waits until nothing is
// left of what it had begun.
func (b *bench) kill(
	conn *pgx.Conn, one transaction, query string, victim func() *server, replace func() error,
) (took time.Duration, left int, err error) {
	id := round.Add(1)
	var dying atomic.Bool
	var begun atomic.Int64
	var all sync.WaitGroup
	faults := make([]error, recoveryClients)
	for i := range recoveryClients {
		all.Go(func() {
			c := newClient()
			defer c.http.CloseIdleConnections()
			for n := 0; !dying.Load(); n++ {
				if err := one(c, fmt.Sprintf("%d-%d-%d", id, i, n)); err != nil && !dying.Load() {
					faults[i] = err
					return
				}
				begun.Add(1)
			}
		})
	}
	<-time.After(2 * time.Second)
	dying.Store(true)
	died := time.Now()
	victim().end(os.Kill)
	count := func() (n int, err error) {
		err = conn.QueryRow(context.Background(), query).Scan(&n)
		return n, err
	}
	if left, err = count(); err != nil {
		return 0, 0, err
	}
	if err := replace(); err != nil {
		return 0, 0, err
	}
	defer all.Wait()
	for n := left; n > 0; n, err = count() {
		if err != nil {
			return 0, 0, err
		}
		if time.Since(died) > recoveryLimit {
			return 0, 0, fmt.Errorf("%d transactions are unfinished after %v", n, recoveryLimit)
		}
		<-time.After(5 * time.Millisecond)
	}
	took = time.Since(died)
	if err := errors.Join(faults...); err != nil {
		return 0, 0, err
	}
	if left == 0 || begun.Load() == 0 {
		return 0, 0, errors.New("nothing was under way")
	}
	return took, left, nil
}
