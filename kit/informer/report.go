package informer

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1/configstorev1connect"
)

const (
	// reportEvery is the longest time between two reports: a third of the
	// lease that the configstore gives.
	reportEvery = 10 * time.Second
	// reportAfter is how long changes are gathered for one report.
	reportAfter = 200 * time.Millisecond
	// reportTimeout bounds one report.
	reportTimeout = 5 * time.Second
)

// Bounds of one report; the contract's.
const (
	maxReportKinds      = 64
	maxReportRejections = 16
	maxReportReason     = 512
	maxReportHealth     = 8
)

// Health counts what a process did since it started.
type Health struct {
	Name      string // as the contract has it: letters, digits, _ and -
	Good, Bad uint64
	P99       time.Duration // of the last while; 0: not known
}

// Reporter tells the configstore what the informers of a process made of its
// objects: soon after a change, changes together, and at least every 10 s.
type Reporter struct {
	client  configstorev1connect.AcknowledgementServiceClient
	report  *configstorev1.Report // the fields that stay
	log     *slog.Logger
	changed chan struct{} // holds one token while there is something new

	mu       sync.Mutex
	standing []*standing
	health   []func() Health
	sequence int64
}

// standing is where one informer is.
type standing struct {
	kind     string
	told     bool
	revision int64
	rejected []Rejection
}

// NewReporter returns a reporter for the process that subscriber is, at the
// configstore at baseURL. started tells it from its predecessor.
func NewReporter(
	subscriber *configstorev1.Subscriber, started time.Time, log *slog.Logger, client connect.HTTPClient, baseURL string,
	options ...connect.ClientOption,
) *Reporter {
	return &Reporter{
		client:  configstorev1connect.NewAcknowledgementServiceClient(client, baseURL, options...),
		report:  &configstorev1.Report{Subscriber: subscriber, StartedAt: max(started.UnixMicro(), 1)},
		log:     log,
		changed: make(chan struct{}, 1),
	}
}

// Source is source with its informers acknowledging what they are given.
func (r *Reporter) Source(source Source) Source { return reported{source, r} }

type reported struct {
	Source
	*Reporter
}

// Count puts what health returns into every report. The ninth and later ones
// are left out.
func (r *Reporter) Count(health func() Health) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.health) < maxReportHealth {
		r.health = append(r.health, health)
	}
}

// Begin implements Acknowledger.
func (r *Reporter) Begin(kind string) (told func(int64, bool, []Rejection), end func()) {
	s := &standing{kind: kind}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.standing = append(r.standing, s)
	told = func(revision int64, news bool, rejected []Rejection) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if news || !s.told || !slices.Equal(s.rejected, rejected) {
			r.change()
		}
		s.told, s.revision, s.rejected = true, revision, rejected
	}
	return told, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.standing = slices.DeleteFunc(r.standing, func(other *standing) bool { return other == s })
		r.change()
	}
}

func (r *Reporter) change() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// Run reports until ctx ends. A report that fails is not repeated: the next
// one says all.
func (r *Reporter) Run(ctx context.Context) error {
	every := time.NewTicker(reportEvery)
	defer every.Stop()
	lost := false
	for {
		select {
		case <-r.changed:
			pause(ctx, reportAfter)
		case <-every.C:
		case <-ctx.Done():
			return nil
		}
		select { // what has come meanwhile is in this one
		case <-r.changed:
		default:
		}
		err := r.send(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if failed := err != nil; failed != lost {
			lost = failed
			r.log.Info("acknowledgements of configuration", "reaching", !lost, "err", err)
		}
	}
}

func (r *Reporter) send(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reportTimeout)
	defer cancel()
	_, err := r.client.Acknowledge(ctx, &configstorev1.AcknowledgeRequest{Report: r.next()})
	if connect.CodeOf(err) == connect.CodeUnimplemented {
		return errors.New("the configstore is older than this process and takes none")
	}
	return err
}

// next is the next report.
func (r *Reporter) next() *configstorev1.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sequence++
	report := &configstorev1.Report{
		Subscriber: r.report.GetSubscriber(), StartedAt: r.report.GetStartedAt(), Sequence: r.sequence,
	}
	kinds := make(map[string]*configstorev1.Acknowledgement)
	for _, s := range r.standing {
		if !s.told {
			continue
		}
		a := kinds[s.kind]
		if a == nil {
			if len(kinds) == maxReportKinds {
				continue
			}
			a = &configstorev1.Acknowledgement{Kind: s.kind, Revision: s.revision}
			kinds[s.kind] = a
			report.Kinds = append(report.Kinds, a)
		}
		// Of several informers of a kind the slowest counts.
		a.Revision = min(a.GetRevision(), s.revision)
		for _, one := range s.rejected {
			if len(a.GetRejected()) < maxReportRejections {
				a.Rejected = append(a.Rejected, &configstorev1.Rejection{
					Namespace: one.Namespace, Name: one.Name, Revision: one.Revision, Reason: reason(one.Reason),
				})
			}
		}
	}
	for _, health := range r.health {
		h := health()
		one := &configstorev1.Health{Name: h.Name, Good: h.Good, Bad: h.Bad}
		if h.P99 > 0 {
			one.P99 = durationpb.New(h.P99)
		}
		report.Health = append(report.Health, one)
	}
	return report
}

// reason is a text within the contract's bounds, which count characters.
func reason(text string) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) > maxReportReason {
		text = strings.ToValidUTF8(text[:maxReportReason-3], "") + "..."
	}
	if text == "" {
		return "no reason was given"
	}
	return text
}
