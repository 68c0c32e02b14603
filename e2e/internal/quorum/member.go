package quorum

import (
	"context"
	"os"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/e2e/internal/cluster"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/testport"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1/configstorev1connect"
)

// Member is one process and its disk.
type Member struct {
	Name    string
	ID      string // as the cluster knows it; set once it is ready
	URL     string // of its API
	Disk    *Disk
	Process *cluster.Process
	Objects configstorev1connect.ConfigServiceClient // as a service calls it
	Batches configstorev1connect.BatchServiceClient  // as a service calls it
	Drafts  configstorev1connect.DraftServiceClient  // as an operator calls it

	quorum  *Quorum
	ops     string
	peerURL string
	flags   []string
	status  configstorev1connect.ClusterServiceClient
}

// member chooses a member's addresses and disk.
func (q *Quorum) member(name, dir, keyFile string, config Config) *Member {
	q.t.Helper()
	if err := os.Mkdir(dir, 0o700); err != nil {
		q.t.Fatal(err)
	}
	m := &Member{Name: name, quorum: q, ops: testport.Address(q.t), Disk: &Disk{Dir: dir}}
	if config.Small {
		m.Disk.mount(q.t)
	}
	if config.Lazy != "" {
		m.Disk.lazy = MountLazy(q.t, config.Lazy, dir)
	}
	api, peer := testport.Address(q.t), testport.Address(q.t)
	front, err := q.Network.Front(q.t.Context(), name, peer)
	if err != nil {
		q.t.Fatal(err)
	}
	m.URL, m.peerURL = "http://"+api, "http://"+front
	m.flags = append([]string{
		"--data-dir", dir + "/data", "--cluster-key-file", keyFile, "--ops-listen", m.ops, "--log-level", "warn",
		"--configstore.rpc-listen", api, "--configstore.kitex-listen", "", "--configstore.key-file", q.secretKey,
		"--configstore.member", name, "--configstore.peer-listen", peer, "--configstore.peer-url", m.peerURL,
	}, config.Flags...)
	m.Objects = configstorev1connect.NewConfigServiceClient(q.client, m.URL, q.As(identity.Service))
	m.Batches = configstorev1connect.NewBatchServiceClient(q.client, m.URL, q.As(identity.Service))
	m.Drafts = configstorev1connect.NewDraftServiceClient(q.client, m.URL, q.As(identity.Operator))
	m.status = configstorev1connect.NewClusterServiceClient(q.client, m.URL, q.As(identity.Operator))
	return m
}

// Start starts the member's process.
func (m *Member) Start() {
	m.quorum.t.Helper()
	m.Process = cluster.Start(m.quorum.t, m.quorum.Binary, m.flags, nil)
}

// Kill ends the member's process, and the power of its disk if that is lazy.
func (m *Member) Kill() {
	m.quorum.t.Helper()
	m.Process.Kill()
	if m.Disk.lazy != nil {
		m.Disk.lazy.Cut()
	}
}

// Ready waits until the member serves.
func (m *Member) Ready() {
	m.quorum.t.Helper()
	if _, err := m.Process.WaitReady(m.ops); err != nil {
		m.quorum.t.Fatal(err)
	}
	m.ID = m.Status().GetMemberId()
}

// Status is how the member sees itself and the others; nil where it does not
// answer.
func (m *Member) Status() *configstorev1.GetStatusResponse {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	status, err := m.status.GetStatus(ctx, &configstorev1.GetStatusRequest{})
	if err != nil {
		return nil
	}
	return status
}

// Progress is what a leader knows of another member; nil where it tells none.
func (m *Member) Progress(of *Member) *configstorev1.Member_Progress {
	for _, other := range m.Status().GetMembers() {
		if other.GetId() == of.ID {
			return other.GetProgress()
		}
	}
	return nil
}

// As signs calls as somebody of a kind.
func (q *Quorum) As(kind identity.Kind) connect.ClientOption {
	return connect.WithInterceptors(&signer{q.keys, kind})
}

type signer struct {
	keys *identity.Keys
	kind identity.Kind
}

func (s *signer) sign() string {
	token, err := s.keys.Sign(identity.Principal{Kind: s.kind, ID: "proof", TenantID: identity.DefaultTenant})
	if err != nil {
		panic(err) // the principal is a constant
	}
	return token
}

// WrapUnary implements connect.Interceptor.
func (s *signer) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		request.Header().Set(identity.Header, s.sign())
		return next(ctx, request)
	}
}

// WrapStreamingClient implements connect.Interceptor.
func (s *signer) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return func(ctx context.Context, spec connect.Spec) connect.StreamingClientConn {
		conn := next(ctx, spec)
		conn.RequestHeader().Set(identity.Header, s.sign())
		return conn
	}
}

// WrapStreamingHandler implements connect.Interceptor.
func (s *signer) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return next
}

// Rekey has the member put the newest key in force and encrypt every secret
// anew; told is called at each step.
func (m *Member) Rekey(ctx context.Context, told func()) (*configstorev1.RekeyResponse, error) {
	stream, err := m.status.Rekey(ctx, &configstorev1.RekeyRequest{})
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	var last *configstorev1.RekeyResponse
	for stream.Receive() {
		last = stream.Msg()
		told()
	}
	return last, stream.Err()
}
