package pressure

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/rpc"
	"github.com/backlot-video/backlot/kit/testport"
	policyv1 "github.com/backlot-video/backlot/proto/gen/backlot/policy/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// server is a settlement process.
type server struct {
	dir     string
	ops     string
	random  *rand.Rand
	cmd     *exec.Cmd
	ended   chan error
	dialer  *rpc.Dialer
	conn    rpcdesc.Conn
	booking settlementv1.BookingServiceClient
}

// maxConns are kept: a call that has to wait for a connection first would take
// that long to be refused.
const maxConns = 1024

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

func start(parent, program string, admission bool) (s *server, err error) {
	s = &server{ended: make(chan error, 1), random: rand.New(rand.NewPCG(1, uint64(os.Getpid())))}
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
		"--settlement.compare-facts=false", "--settlement.admission="+strconv.FormatBool(admission))
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := startOrdinary(s.cmd); err != nil {
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
	s.dialer = rpc.NewDialer(rpc.ClientConfig{
		Service: "bench", Signer: keys, MaxIdleConns: maxConns,
		Resolver: rpc.Static(map[string][]rpc.Endpoint{"settlement": {{KitexAddress: addresses[1]}}}),
		Policies: func(string) *policyv1.CallPolicy { // nothing of ours in the way
			return &policyv1.CallPolicy{
				Timeout: durationpb.New(time.Minute),
				Breaker: &policyv1.Breaker{MaxInFlight: 1 << 20, MinCalls: 1 << 30},
				Retry:   &policyv1.Retry{MaxAttempts: 1},
			}
		},
	})
	s.conn = s.dialer.Conn("settlement")
	s.booking = settlementv1.NewBookingServiceClient(s.conn)
	return s, nil
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
