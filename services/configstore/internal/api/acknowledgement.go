package api

import (
	"context"
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/ack"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

const (
	// reportsPage is how many reports members give each other at once.
	reportsPage = 500
	// peerTimeout bounds what is waited for one member.
	peerTimeout = 2 * time.Second
)

// Peer is another member.
type Peer struct {
	ID      string
	Reports func(context.Context, *configstorev1.ListReportsRequest) (*configstorev1.ListReportsResponse, error)
}

// Witness is what members know of instances.
type Witness struct {
	// Book has what this member was told.
	Book *ack.Book
	// Nodes are the clients of xDS of this member; may be nil.
	Nodes func() []ack.Entry
	// Peers are the other members; may be nil.
	Peers func(context.Context) []Peer
	Clock func() time.Time
}

// own is what this member knows by itself.
func (w Witness) own(tenant string) []ack.Entry {
	if w.Nodes == nil {
		return w.Book.Entries(tenant)
	}
	return ack.Merge(w.Book.Entries(tenant), w.Nodes())
}

// Entries asks all members. silent are those that did not answer.
func (w Witness) Entries(ctx context.Context, tenant string) (entries []ack.Entry, silent []string) {
	parts := [][]ack.Entry{w.own(tenant)}
	if w.Peers == nil {
		return parts[0], nil
	}
	var mu sync.Mutex
	var asked sync.WaitGroup
	for _, peer := range w.Peers(ctx) {
		asked.Go(func() {
			part, err := w.ask(ctx, peer)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				silent = append(silent, peer.ID)
				return
			}
			parts = append(parts, part)
		})
	}
	asked.Wait()
	return ack.Merge(parts...), silent
}

func (w Witness) ask(ctx context.Context, peer Peer) ([]ack.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	var part []ack.Entry
	for request := new(configstorev1.ListReportsRequest); ; {
		response, err := peer.Reports(ctx, request)
		if err != nil {
			return nil, err
		}
		for _, r := range response.GetReports() {
			part = append(part, ack.Entry{Report: r.GetReport(), Heard: w.Clock().Add(-r.GetAge().AsDuration())})
		}
		if request.PageToken = response.GetNextPageToken(); request.PageToken == "" || len(part) > ack.MaxInstances {
			return part, nil
		}
	}
}

// Acknowledgements serves configstore.v1.AcknowledgementService.
type Acknowledgements struct {
	store   *store.Store
	witness Witness
}

// NewAcknowledgements returns the service over a store.
func NewAcknowledgements(s *store.Store, w Witness) *Acknowledgements { return &Acknowledgements{s, w} }

// Acknowledge implements AcknowledgementServiceServer.
func (a *Acknowledgements) Acknowledge(ctx context.Context, request *configstorev1.AcknowledgeRequest) (*configstorev1.AcknowledgeResponse, error) {
	if err := a.witness.Book.Put(tenant(ctx), request.GetReport(), a.store.HasKind); err != nil {
		return nil, coded(err)
	}
	return &configstorev1.AcknowledgeResponse{Lease: durationpb.New(ack.Lease)}, nil
}

// GetRollout implements AcknowledgementServiceServer.
func (a *Acknowledgements) GetRollout(ctx context.Context, request *configstorev1.GetRolloutRequest) (*configstorev1.GetRolloutResponse, error) {
	entries, silent := a.witness.Entries(ctx, tenant(ctx))
	newest := func(kind string) (int64, error) { return a.store.Newest(ctx, tenant(ctx), kind) }
	rollouts, err := ack.Rollouts(entries, request.GetKind(), newest, a.witness.Clock())
	if err != nil {
		return nil, coded(err)
	}
	for _, r := range rollouts {
		if err := a.redact(ctx, r); err != nil {
			return nil, coded(err)
		}
	}
	return &configstorev1.GetRolloutResponse{Kinds: rollouts, SilentMembers: silent}, nil
}

// redact takes the names and reasons of objects out that the caller may not
// read; how many instances reject something is no secret.
func (a *Acknowledgements) redact(ctx context.Context, r *configstorev1.KindRollout) error {
	for _, d := range r.GetDetails() {
		left, err := readable(ctx, gate{a.store}, d.GetRejected(), func(one *configstorev1.Rejection) *configstorev1.Key {
			return &configstorev1.Key{Kind: r.GetKind(), Namespace: one.GetNamespace(), Name: one.GetName()}
		})
		if err != nil {
			return err
		}
		d.Rejected = left
	}
	return nil
}

// ListReports implements AcknowledgementServiceServer.
func (a *Acknowledgements) ListReports(ctx context.Context, request *configstorev1.ListReportsRequest) (*configstorev1.ListReportsResponse, error) {
	page, next := ack.Page(a.witness.own(tenant(ctx)), request.GetPageToken(), reportsPage)
	response := &configstorev1.ListReportsResponse{NextPageToken: next}
	now := a.witness.Clock()
	for _, entry := range page {
		response.Reports = append(response.Reports, &configstorev1.MemberReport{Report: entry.Report, Age: durationpb.New(now.Sub(entry.Heard))})
	}
	return response, nil
}
