package pressure

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"

	"google.golang.org/protobuf/proto"

	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// source gives out calls, each once. It is safe for concurrent use.
type source struct {
	seed uint64

	mu     sync.Mutex
	random *rand.Rand
	made   int
	ready  [][]byte
}

func newSource(seed uint64) *source {
	return &source{seed: seed, random: rand.New(rand.NewPCG(seed, 0))}
}

// prepare encodes calls for later, so that their loop does not have to.
func (s *source) prepare(calls int) {
	for range calls {
		s.ready = append(s.ready, s.encode())
	}
}

// next is a call's transfers, encoded.
func (s *source) next() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.ready) == 0 {
		s.prepare(1)
	}
	last := len(s.ready) - 1
	raw := s.ready[last]
	s.ready[last], s.ready = nil, s.ready[:last]
	return raw
}

// encode makes a call's worth of transfers between accounts at random.
func (s *source) encode() []byte {
	s.made++
	id := strconv.FormatUint(s.seed, 36) + "-" + strconv.Itoa(s.made)
	request := &settlementv1.CreateTransfersRequest{Transfers: make([]*settlementv1.NewTransfer, transferBatch)}
	for i := range request.Transfers {
		from := s.random.IntN(accounts)
		to := (from + 1 + s.random.IntN(accounts-1)) % accounts
		amount := &moneyv1.Money{Minor: 1 + s.random.Int64N(1000), Currency: "USD"}
		request.Transfers[i] = &settlementv1.NewTransfer{
			ClientId: id + "-" + strconv.Itoa(i), Type: "move", Currency: "USD",
			Postings: []*settlementv1.NewPosting{
				{AccountId: accountID(from), Side: settlementv1.Side_SIDE_DEBIT, Amount: amount},
				{AccountId: accountID(to), Side: settlementv1.Side_SIDE_CREDIT, Amount: amount},
			},
		}
	}
	raw, err := proto.Marshal(request)
	if err != nil {
		panic(err) // there is nothing in it that cannot be encoded
	}
	return raw
}

func accountID(n int) string { return "account-" + strconv.Itoa(n) }

var (
	createTransfers = method(settlementv1.BookingServiceDesc, "CreateTransfers")
	getPayoutBatch  = method(settlementv1.PayoutServiceDesc, "GetPayoutBatch")
)

func method(service rpcdesc.Service, name string) *rpcdesc.Method {
	for i := range service.Methods {
		if m := &service.Methods[i]; m.Name == name {
			return m
		}
	}
	panic(service.Name + " has no method " + name)
}

// check returns an error where any transfer of any answer has one.
func check(answers [][]byte) error {
	for _, raw := range answers {
		if err := checkOne(raw); err != nil {
			return err
		}
	}
	return nil
}

func checkOne(raw []byte) error {
	response := new(settlementv1.CreateTransfersResponse)
	if err := proto.Unmarshal(raw, response); err != nil {
		return err
	}
	if booked := len(response.GetResults()); booked != transferBatch {
		return fmt.Errorf("%d transfers of %d", booked, transferBatch)
	}
	for _, result := range response.GetResults() {
		if result.GetError() != nil {
			return fmt.Errorf("transfer: %v", result.GetError())
		}
	}
	return nil
}
