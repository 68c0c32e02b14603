package pressure

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/rpc"
	"github.com/backlot-video/backlot/kit/testport"
	"github.com/backlot-video/backlot/kit/throttle"
	policyv1 "github.com/backlot-video/backlot/proto/gen/backlot/policy/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// mode is how a server is run and called.
type mode int

const (
	throttled  mode = iota // as the house's clients do, which hold back what would be refused
	stubborn               // callers send whatever comes
	plainQueue             // the peer: no admission, and no deadlines
)

// server is a settlement process.
type server struct {
	dir     string
	ops     string
	random  *rand.Rand
	mode    mode
	held    *throttle.Throttle // of the callers of a loop; nil where they send whatever comes
	cmd     *exec.Cmd
	ended   chan error
	dialer  *rpc.Dialer
	booking settlementv1.BookingServiceClient
	books   *wire // CreateTransfers
	payouts *wire // GetPayoutBatch
}

// build builds settlement.
func build(dir string) (program string, err error) {
	program = filepath.Join(dir, "settlement")
	out, err := exec.CommandContext(context.Background(), "go", "build", "-o", program,
		"github.com/backlot-video/backlot/services/settlement/cmd/settlement").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build settlement: %w: %s", err, out)
	}
	return program, nil
}

func start(at *sides, parent, program string, how mode) (s *server, err error) {
	s = &server{mode: how, ended: make(chan error, 1), random: rand.New(rand.NewPCG(1, uint64(os.Getpid())))}
	if s.dir, err = os.MkdirTemp(parent, "data-"); err != nil {
		return nil, err
	}
	var addresses [3]string
	for i := range addresses {
		if addresses[i], err = testport.Find(); err != nil {
			return nil, err
		}
	}
	s.ops = addresses[2]
	s.cmd = exec.CommandContext(context.Background(), program, "--data-dir", s.dir,
		"--settlement.rpc-listen", addresses[0], "--settlement.kitex-listen", addresses[1], "--ops-listen", addresses[2],
		"--settlement.compare-facts=false", "--settlement.transit="+transit.String(), "--settlement.admission="+strconv.FormatBool(how != plainQueue))
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := at.start(s.cmd); err != nil {
		return nil, err
	}
	go func() { s.ended <- s.cmd.Wait() }()
	if err := s.await("http://" + addresses[2] + "/readyz"); err != nil {
		return nil, errors.Join(err, s.close())
	}
	keys, err := identity.OpenKeys(filepath.Join(s.dir, "cluster.key"), nil)
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.dialer = dialer(keys, addresses[1])
	s.booking = settlementv1.NewBookingServiceClient(s.dialer.Conn("settlement"))
	if s.books, err = wireOf(keys, addresses[1], createTransfers, &settlementv1.CreateTransfersRequest{}); err == nil {
		s.payouts, err = wireOf(keys, addresses[1], getPayoutBatch, &settlementv1.GetPayoutBatchRequest{})
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// dialer calls settlement, with nothing of ours in the way.
func dialer(keys *identity.Keys, address string) *rpc.Dialer {
	return rpc.NewDialer(rpc.ClientConfig{
		Service: "bench", Signer: keys,
		Resolver: rpc.Static(map[string][]rpc.Endpoint{"settlement": {{KitexAddress: address}}}),
		Policies: func(string) *policyv1.CallPolicy {
			return &policyv1.CallPolicy{
				Timeout: durationpb.New(longest),
				Breaker: &policyv1.Breaker{MaxInFlight: 1 << 20, MinCalls: 1 << 30},
				Retry:   &policyv1.Retry{MaxAttempts: 1},
			}
		},
	})
}

// wireOf records a call of a method.
func wireOf(keys *identity.Keys, address string, method *rpcdesc.Method, request proto.Message) (*wire, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	recorded := dialer(keys, listener.Addr().String())
	w, err := record(listener, recorded.Conn("settlement"), method, request, address)
	return w, errors.Join(err, recorded.Close())
}

// await returns when the server is ready.
func (s *server) await(url string) error {
	deadline := time.Now().Add(30 * time.Second)
	for {
		response, err := http.Get(url) //nolint:noctx // loopback, and the loop ends
		if err == nil {
			if err := response.Body.Close(); err != nil {
				return err
			}
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("settlement is not ready: %s", log)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// prepare opens the accounts.
func (s *server) prepare() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	const page = 500
	for first := 0; first < accounts; first += page {
		request := &settlementv1.CreateAccountsRequest{}
		for n := first; n < first+page; n++ {
			request.Accounts = append(request.Accounts, &settlementv1.NewAccount{
				Id: accountID(n), Purpose: "move", OwnerId: accountID(n), Currency: "USD",
				NormalSide: settlementv1.Side_SIDE_CREDIT, Overdraft: true,
			})
		}
		response, err := s.booking.CreateAccounts(ctx, request)
		if err != nil {
			return fmt.Errorf("open accounts: %w", err)
		}
		for _, result := range response.GetResults() {
			if result.GetError() != nil {
				return fmt.Errorf("open accounts: %v", result.GetError())
			}
		}
	}
	return nil
}

func (s *server) close() error {
	for _, w := range []*wire{s.books, s.payouts} {
		if w != nil {
			w.close()
		}
	}
	if s.dialer != nil {
		if err := s.dialer.Close(); err != nil {
			return err
		}
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.ended:
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
	return os.RemoveAll(s.dir)
}
