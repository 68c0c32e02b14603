package check

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

func fact(t *testing.T, id string, content proto.Message) *eventv1.Envelope {
	t.Helper()
	data, err := anypb.New(content)
	if err != nil {
		t.Fatal(err)
	}
	return &eventv1.Envelope{Id: id, Data: data}
}

func TestFactsLostAndDoubledAreFound(t *testing.T) {
	told := []*eventv1.Envelope{
		fact(t, "1", &settlementv1.TransfersPosted{Transfers: []*settlementv1.Transfer{{Id: "t1"}, {Id: "t2"}}}),
		fact(t, "2", &coordinatorv1.TransactionEnded{Xid: "o1", State: coordinatorv1.TransactionState_TRANSACTION_STATE_CONFIRMED}),
		fact(t, "3", &storefrontv1.OrderPaid{OrderId: "o1"}),
		fact(t, "3", &storefrontv1.OrderPaid{OrderId: "o1"}), // delivered twice, the same fact
	}
	if faults := sound().Untold(told); len(faults) != 0 {
		t.Error(faults)
	}
	another := fact(t, "4", &storefrontv1.OrderPaid{OrderId: "o1"})
	refused := fact(t, "5", &storefrontv1.OrderPaid{OrderId: "o2"})
	cancelled := fact(t, "6", &coordinatorv1.TransactionEnded{Xid: "o1", State: coordinatorv1.TransactionState_TRANSACTION_STATE_CANCELLED})
	for want, facts := range map[string][]*eventv1.Envelope{
		"order o1 is paid: 2 facts":                                  append(slices.Clone(told), another),
		"order o1 is paid: 0 facts":                                  told[:2],
		"transfer t2 is posted: 0 facts":                             told[1:],
		"order o2 is paid, a fact says":                              append(slices.Clone(told), refused),
		"transaction o1 is TRANSACTION_STATE_CANCELLED, a fact says": append(slices.Clone(told), cancelled),
		"transaction o1 is TRANSACTION_STATE_CONFIRMED: 0 facts":     slices.Delete(slices.Clone(told), 1, 2),
		"fact 7 is a *coordinatorv1.Transaction":                     append(slices.Clone(told), fact(t, "7", &coordinatorv1.Transaction{})),
	} {
		if faults := strings.Join(sound().Untold(facts), "\n"); !strings.Contains(faults, want) {
			t.Errorf("found %q, want %q", faults, want)
		}
	}
}
