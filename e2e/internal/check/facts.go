package check

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

// The facts of a sale.
const (
	orderPaid        = "backlot.storefront.order_paid.v1"
	transfersPosted  = "backlot.settlement.transfers_posted.v1"
	transactionEnded = "backlot.coordinator.transaction_ended.v1"
)

// ReadFacts reads the facts of sales that a broker has, oldest first.
func ReadFacts(ctx context.Context, url, token string) ([]*eventv1.Envelope, error) {
	conn, err := nats.Connect(url, nats.Token(token))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stream, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	consumer, err := stream.OrderedConsumer(ctx, "backlot", jetstream.OrderedConsumerConfig{
		FilterSubjects: []string{orderPaid + ".*", transfersPosted + ".*", transactionEnded + ".*"},
	})
	if err != nil {
		return nil, fmt.Errorf("read facts: %w", err)
	}
	var facts []*eventv1.Envelope
	for {
		// Nothing for a second means that this was all.
		message, err := consumer.Next(jetstream.FetchMaxWait(time.Second))
		if errors.Is(err, nats.ErrTimeout) {
			return facts, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read fact %d: %w", len(facts)+1, err)
		}
		envelope := &eventv1.Envelope{}
		if err := proto.Unmarshal(message.Data(), envelope); err != nil {
			return nil, fmt.Errorf("fact %d: %w", len(facts)+1, err)
		}
		facts = append(facts, envelope)
	}
}

// told counts by how many facts, each counted once however often it was
// delivered, something is told.
type told map[string]map[string]bool // what it is about, ids of facts

func (t told) add(about, fact string) {
	if t[about] == nil {
		t[about] = map[string]bool{}
	}
	t[about][fact] = true
}

// Untold compares facts with the state: each order paid, transfer posted and
// transaction ended is told of by one fact, and nothing else is.
func (s *State) Untold(facts []*eventv1.Envelope) []string {
	said, faults := told{}, []string(nil)
	for _, fact := range facts {
		content, err := fact.GetData().UnmarshalNew()
		if err != nil {
			faults = append(faults, fmt.Sprintf("fact %s: %v", fact.GetId(), err))
			continue
		}
		switch content := content.(type) {
		case *storefrontv1.OrderPaid:
			said.add("order "+content.GetOrderId()+" is paid", fact.GetId())
		case *settlementv1.TransfersPosted:
			for _, transfer := range content.GetTransfers() {
				said.add("transfer "+transfer.GetId()+" is posted", fact.GetId())
			}
		case *coordinatorv1.TransactionEnded:
			said.add("transaction "+content.GetXid()+" is "+content.GetState().String(), fact.GetId())
		default:
			faults = append(faults, fmt.Sprintf("fact %s is a %T", fact.GetId(), content))
		}
	}
	for _, happened := range s.happened() {
		if n := len(said[happened]); n != 1 {
			faults = append(faults, fmt.Sprintf("%s: %d facts tell of it", happened, n))
		}
		delete(said, happened)
	}
	for about := range said {
		faults = append(faults, about+", a fact says, and it is not so")
	}
	return faults
}

// happened is what facts should tell of.
func (s *State) happened() (all []string) {
	for _, order := range s.Orders {
		if order.GetState() == storefrontv1.OrderState_ORDER_STATE_PAID {
			all = append(all, "order "+order.GetId()+" is paid")
		}
	}
	for _, transfer := range s.Transfers {
		if transfer.GetState() == posted {
			all = append(all, "transfer "+transfer.GetId()+" is posted")
		}
	}
	for _, transaction := range s.Transactions {
		all = append(all, "transaction "+transaction.GetXid()+" is "+transaction.GetState().String())
	}
	return all
}
