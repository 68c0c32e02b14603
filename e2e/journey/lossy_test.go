package journey

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/backlot-video/backlot/e2e/internal/client"
	"github.com/backlot-video/backlot/e2e/internal/cluster"
	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

// lossy is a network between the coordinator and settlement that delivers
// calls and loses answers.
type lossy struct {
	node    *cluster.Node
	address string // host:port

	mu   sync.Mutex
	lose map[string]int // how many answers, by phase
}

func newLossy(t *testing.T, node *cluster.Node) *lossy {
	t.Helper()
	l := &lossy{node: node, lose: map[string]int{}}
	socket := filepath.Join(node.Dir, "run", "settlement.sock")
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = "http", "settlement" },
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var dialer net.Dialer
				return dialer.DialContext(ctx, "unix", socket)
			},
		},
		ModifyResponse: func(r *http.Response) error {
			return l.loses(r.Request.URL.Path[strings.LastIndexByte(r.Request.URL.Path, '/')+1:])
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusServiceUnavailable) },
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(server.Close)
	l.address = server.Listener.Addr().String()
	return l
}

func (l *lossy) loses(phase string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lose[phase] == 0 {
		return nil
	}
	l.lose[phase]--
	return fmt.Errorf("the answer of %s is lost", phase)
}

func (l *lossy) will(phase string, answers int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lose = map[string]int{phase: answers}
}

// round buys twice: money is held but the coordinator never learns it, so that
// the hold is cancelled; and it is paid but the coordinator learns it late, or
// from an operator's retry.
func (l *lossy) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sideTime)
	defer cancel()
	retry := func(ctx context.Context) error { return retryParked(ctx, l.node) }
	const always = 1 << 30
	l.will("Try", always)
	if err := buy(ctx, l.node, 2000, storefrontv1.OrderState_ORDER_STATE_REFUSED, retry); err != nil {
		return fmt.Errorf("answers of Try lost: %w", err)
	}
	l.will("Confirm", 5) // more than one call repeats by itself
	if err := buy(ctx, l.node, 2000, storefrontv1.OrderState_ORDER_STATE_PAID, retry); err != nil {
		return fmt.Errorf("answer of Confirm lost: %w", err)
	}
	return nil
}

// retryParked does what an operator does about transactions given up.
func retryParked(ctx context.Context, node *cluster.Node) error {
	operator, err := client.Operator(ctx, node.URL(), node.OperatorKey())
	if err != nil {
		return err
	}
	parked, err := operator.Coordinator.ListTransactions(ctx, &coordinatorv1.ListTransactionsRequest{
		States: []coordinatorv1.TransactionState{coordinatorv1.TransactionState_TRANSACTION_STATE_PARKED},
	})
	if err != nil {
		return err
	}
	for _, transaction := range parked.GetTransactions() {
		_, err := operator.Coordinator.RetryTransaction(ctx, &coordinatorv1.RetryTransactionRequest{Xid: transaction.GetXid()})
		if err != nil {
			return fmt.Errorf("retry transaction %s: %w", transaction.GetXid(), err)
		}
	}
	return nil
}
