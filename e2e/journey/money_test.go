package journey

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/e2e/internal/check"
	"github.com/backlot-video/backlot/e2e/internal/client"
	"github.com/backlot-video/backlot/e2e/internal/cluster"
	"github.com/backlot-video/backlot/kit/identity"
	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

const (
	buyers   = 8
	purse    = 1200 // minor units that a viewer brings: some videos, not all
	restTime = 90 * time.Second
)

// mortal are the processes that money passes through, and the broker.
var mortal = []string{"settlement", "coordinator", "storefront", "mq"}

// TestMoneySurvivesKillsOfItsServices sells videos without pause while one of
// the processes that money passes through is killed every few hundred
// milliseconds, for BACKLOT_KILL_SECONDS. Then all that any buyer was told must
// be so, and every cent, right and message be there once. BACKLOT_SEED repeats
// whom it kills and when.
func TestMoneySurvivesKillsOfItsServices(t *testing.T) {
	seed, seconds := uint64(number(t, "BACKLOT_SEED", int(time.Now().UnixNano()&0x7fffffff))), number(t, "BACKLOT_KILL_SECONDS", 60)
	t.Logf("BACKLOT_SEED=%d BACKLOT_KILL_SECONDS=%d", seed, seconds)
	split := cluster.NewSplit(t, cluster.Crash)
	split.Command = func(service string) (string, []string) { return split.Binary, []string{service} }
	split.Express = func(_ string, settings cluster.Settings) (args, environ []string) { return settings.Flags() }
	split.Up(nil)
	if _, err := split.Demo(t.Context(), 3*time.Minute, "--catalogue", "6", "--viewers", "12"); err != nil {
		t.Fatalf("%v\n%s", err, split.Logs())
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Duration(seconds)*time.Second)
	defer cancel()
	market := &market{split: split}
	var trade sync.WaitGroup
	for range buyers {
		trade.Go(func() { market.buy(ctx) })
	}
	kills := killAtRandom(ctx, t, split, rand.New(rand.NewPCG(seed, 0)))
	trade.Wait()
	for _, service := range mortal {
		if _, err := split.Processes[service].WaitReady(split.OpsOf[service]); err != nil {
			t.Fatal(err)
		}
	}
	if len(market.orders) == 0 || kills == 0 {
		t.Fatalf("%d orders ended under %d kills: nothing was tried\n%s", len(market.orders), kills, split.Logs())
	}
	t.Logf("%d kills; %d top-ups and %d orders answered meanwhile, %d calls failed", kills, len(market.topUps), len(market.orders), market.failed)
	market.verify(t)
	split.Stop()
}

// killAtRandom kills one process after the other until ctx ends, and starts
// each again at once, dead or not yet ready as others may be.
func killAtRandom(ctx context.Context, t *testing.T, split *cluster.Split, random *rand.Rand) (kills int) {
	t.Helper()
	for ; ; kills++ {
		victim := mortal[random.IntN(len(mortal))]
		wait := time.NewTimer(200*time.Millisecond + time.Duration(random.Int64N(int64(600*time.Millisecond))))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return kills
		}
		split.Processes[victim].Kill()
		split.Run(victim, nil)
	}
}

// market is what buyers have been told.
type market struct {
	split *cluster.Split

	mu     sync.Mutex
	topUps map[string]int64               // by viewer
	orders map[string]*storefrontv1.Order // that have ended, by id
	failed int
}

// buy lets one viewer after the other buy every video, until ctx ends.
func (m *market) buy(ctx context.Context) {
	for ctx.Err() == nil {
		viewer, ok := repeat(ctx, m, func(ctx context.Context) (*client.Session, error) {
			return client.SignUp(ctx, m.split.URL(), storefrontv1.Role_ROLE_VIEWER)
		})
		if !ok {
			return
		}
		_, ok = repeat(ctx, m, func(ctx context.Context) (*settlementv1.TopUpResponse, error) {
			return viewer.Ledger.TopUp(ctx, &settlementv1.TopUpRequest{
				Amount: &moneyv1.Money{Minor: purse, Currency: "USD"}, IdempotencyKey: "purse",
			})
		})
		if !ok {
			return
		}
		m.note(func() { m.topUps[viewer.Account.GetId()] += purse })
		videos, ok := repeat(ctx, m, func(ctx context.Context) (*storefrontv1.ListVideosResponse, error) {
			return viewer.Catalogue.ListVideos(ctx, &storefrontv1.ListVideosRequest{PageSize: 10})
		})
		if !ok {
			return
		}
		for _, video := range videos.GetVideos() {
			if !m.order(ctx, viewer, video.GetId()) {
				return
			}
		}
	}
}

// order orders a video until the order has ended, always by the same key.
func (m *market) order(ctx context.Context, viewer *client.Session, video string) (ok bool) {
	order, ok := repeat(ctx, m, func(ctx context.Context) (*storefrontv1.Order, error) {
		response, err := viewer.Orders.CreateOrder(ctx, &storefrontv1.CreateOrderRequest{VideoId: video, IdempotencyKey: video})
		if err == nil && response.GetOrder().GetState() < storefrontv1.OrderState_ORDER_STATE_PAID {
			err = fmt.Errorf("order is %s still", response.GetOrder().GetState())
		}
		return response.GetOrder(), err
	})
	if ok {
		m.note(func() { m.orders[order.GetId()] = order })
	}
	return ok
}

func (m *market) note(what func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.orders == nil {
		m.topUps, m.orders = map[string]int64{}, map[string]*storefrontv1.Order{}
	}
	what()
}

// repeat calls until there is an answer or ctx ends: who was killed comes back.
func repeat[T any](ctx context.Context, m *market, call func(context.Context) (T, error)) (answer T, ok bool) {
	answer, err := await(ctx, func() (T, bool, error) {
		bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		answer, err := call(bounded)
		if err != nil && ctx.Err() == nil {
			m.note(func() { m.failed++ })
		}
		return answer, err == nil, nil
	})
	return answer, err == nil
}

// verify compares what buyers were told, the books, the rights and the
// messages with one another.
func (m *market) verify(t *testing.T) {
	t.Helper()
	state := verify(t, m.split.Node, m.split.PIDs()...)
	final := map[string]*storefrontv1.Order{}
	for _, order := range state.Orders {
		final[order.GetId()] = order
	}
	for id, order := range m.orders {
		if final[id].GetState() != order.GetState() {
			t.Errorf("order %s is %s, its buyer was told %s", id, final[id].GetState(), order.GetState())
		}
	}
	brought := map[string]int64{}
	for _, transfer := range state.Transfers {
		for _, posting := range transfer.GetPostings() {
			if transfer.GetType() == "top_up" && posting.GetPurpose() == "wallet" {
				brought[posting.GetOwnerId()] += posting.GetAmount().GetMinor()
			}
		}
	}
	for viewer, minor := range m.topUps {
		if brought[viewer] != minor {
			t.Errorf("viewer %s has brought %d, the ledger says %d", viewer, minor, brought[viewer])
		}
	}
	m.messages(t, state)
	m.differences(t)
}

// messages waits until every fact has been told, once.
func (m *market) messages(t *testing.T, state *check.State) {
	t.Helper()
	keys, err := identity.OpenKeys(filepath.Join(m.split.Dir, "cluster.key"), nil)
	if err != nil {
		t.Fatal(err)
	}
	token := hex.EncodeToString(keys.Derive("mq"))
	ctx, cancel := context.WithTimeout(t.Context(), restTime)
	defer cancel()
	var untold []string
	facts, err := await(ctx, func() (int, bool, error) {
		facts, err := check.ReadFacts(ctx, m.split.Broker(), token)
		untold = state.Untold(facts)
		return len(facts), err == nil && len(untold) == 0, err
	})
	if err != nil {
		t.Errorf("messages: %v", err)
	}
	for _, fault := range untold {
		t.Error(fault)
	}
	t.Logf("%d messages read", facts)
}

// differences waits until settlement, which hears of all of it by messages,
// finds that nothing is missing.
func (m *market) differences(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), restTime)
	defer cancel()
	operator, err := client.Operator(ctx, m.split.URL(), m.split.OperatorKey())
	if err != nil {
		t.Fatal(err)
	}
	found, err := await(ctx, func() (*settlementv1.ListDifferencesResponse, bool, error) {
		found, err := operator.Reconciliation.ListDifferences(ctx, &settlementv1.ListDifferencesRequest{PageSize: 100})
		if connect.CodeOf(err) == connect.CodeUnavailable {
			err = nil
		}
		return found, len(found.GetDifferences()) == 0 && found.GetWaiting() == 0, err
	})
	if err != nil {
		t.Errorf("settlement finds %d differences, %d facts wait: %v: %v", len(found.GetDifferences()), found.GetWaiting(), err, found.GetDifferences())
	}
}
