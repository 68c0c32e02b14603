package store

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// lossy is an engine that lost its leader: transactions of the first second
// are given up after seven.
type lossy struct {
	mu    sync.Mutex
	began time.Time
	most  int // at once
	now   int
}

func (l *lossy) Txn(_ context.Context, request *pb.TxnRequest) (*pb.TxnResponse, error) {
	l.mu.Lock()
	l.now++
	l.most = max(l.most, l.now)
	l.mu.Unlock()
	defer func() { l.mu.Lock(); l.now--; l.mu.Unlock() }()
	if time.Since(l.began) < time.Second {
		time.Sleep(7 * time.Second)
		return nil, errors.New("request timed out")
	}
	response := &pb.TxnResponse{Succeeded: true, Header: &pb.ResponseHeader{Revision: 2}}
	for range request.GetSuccess() { // of several releases
		response.Responses = append(response.Responses, &pb.ResponseOp{
			Response: &pb.ResponseOp_ResponseTxn{ResponseTxn: &pb.TxnResponse{Succeeded: true}},
		})
	}
	return response, nil
}

// What was lost with a leader keeps nothing from being written once there is
// another one.
func TestLostTransactionsDoNotHoldOthersBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &lossy{began: time.Now()}
		c := newCommitter(engine, prometheus.ObserverFunc(func(float64) {}), slog.New(slog.DiscardHandler))
		var writers sync.WaitGroup
		for range 3 {
			writers.Go(func() { _, _ = c.write(t.Context(), &write{tenant: "main"}) })
		}
		time.Sleep(1500 * time.Millisecond)
		begin := time.Now()
		if _, err := c.write(t.Context(), &write{tenant: "main"}); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("a write took %v when there was a leader again", took)
		}
		writers.Wait()
		c.close()
		if c.slow != 0 || c.inFlight != 0 {
			t.Errorf("%d slow, %d in flight at the end", c.slow, c.inFlight)
		}
	})
}

// However many are lost, what is on its way is bounded.
func TestLostTransactionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &lossy{began: time.Now().Add(time.Hour)}
		c := newCommitter(engine, prometheus.ObserverFunc(func(float64) {}), slog.New(slog.DiscardHandler))
		var writers sync.WaitGroup
		for range 20 * maxSlow {
			writers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				_, _ = c.write(ctx, &write{tenant: "main", alone: true})
			})
			time.Sleep(10 * time.Millisecond)
		}
		writers.Wait()
		c.close()
		if engine.most > maxSlow+len(wanted) || engine.most < maxSlow {
			t.Errorf("%d at once", engine.most)
		}
	})
}
