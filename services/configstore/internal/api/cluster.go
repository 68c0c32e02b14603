package api

import (
	"context"
	"fmt"
	"io"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/durationpb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/access"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

// defaultMeasure is how long Measure looks where it is not told.
const defaultMeasure = 10 * time.Second

// snapshotPiece is what one message of SaveSnapshot carries.
const snapshotPiece = 256 << 10

// Cluster serves configstore.v1.ClusterService.
type Cluster struct {
	engine *engine.Engine
	store  *store.Store
	gate   gate
}

// NewCluster returns the service over an engine, whose store has the grants.
func NewCluster(e *engine.Engine, s *store.Store) *Cluster { return &Cluster{e, s, gate{s}} }

// may tells whether the caller may look after members.
func (c *Cluster) may(ctx context.Context) error {
	return c.gate.check(ctx, access.Cluster, wanted{"cluster", object.Key{Tenant: tenant(ctx), Kind: "Member", Name: "any"}})
}

// GetStatus implements ClusterServiceServer.
func (c *Cluster) GetStatus(context.Context, *configstorev1.GetStatusRequest) (*configstorev1.GetStatusResponse, error) {
	s := c.engine.Status()
	response := &configstorev1.GetStatusResponse{
		MemberId: engine.FormatID(s.ID), Term: s.Term, CommittedIndex: s.CommittedIndex, AppliedIndex: s.AppliedIndex,
		Revision: s.Revision, SizeBytes: s.SizeBytes, UsedBytes: s.UsedBytes, QuotaBytes: s.QuotaBytes, Alarms: s.Alarms,
		LeaderChanges: s.LeaderChanges, StepDowns: s.StepDowns, EngineVersion: s.ClusterVersion,
		Heartbeat: durationpb.New(time.Duration(s.HeartbeatMillis) * time.Millisecond),
		Election:  durationpb.New(time.Duration(s.ElectionMillis) * time.Millisecond),
	}
	if s.Leader != 0 {
		response.LeaderId = engine.FormatID(s.Leader)
	}
	for _, m := range s.Members {
		response.Members = append(response.Members, memberProto(m))
	}
	return response, nil
}

var progressStates = map[string]configstorev1.Member_Progress_State{
	"probe":     configstorev1.Member_Progress_STATE_PROBE,
	"replicate": configstorev1.Member_Progress_STATE_REPLICATE,
	"snapshot":  configstorev1.Member_Progress_STATE_SNAPSHOT,
}

func memberProto(m engine.Member) *configstorev1.Member {
	member := &configstorev1.Member{
		Id: engine.FormatID(m.ID), Name: m.Name, PeerUrl: m.PeerURL, Learner: m.Learner, Leader: m.Leader, Self: m.Self,
	}
	if p := m.Progress; p != nil {
		member.Progress = &configstorev1.Member_Progress{
			State: progressStates[p.State], MatchIndex: p.Match, NextIndex: p.Next, Active: p.Active,
		}
	}
	return member
}

// AddMember implements ClusterServiceServer.
func (c *Cluster) AddMember(ctx context.Context, request *configstorev1.AddMemberRequest) (*configstorev1.AddMemberResponse, error) {
	if err := c.may(ctx); err != nil {
		return nil, coded(err)
	}
	id, members, err := c.engine.AddMember(ctx, request.GetName(), request.GetPeerUrl())
	if err != nil {
		return nil, coded(err)
	}
	return &configstorev1.AddMemberResponse{MemberId: engine.FormatID(id), Members: members}, nil
}

// RemoveMember implements ClusterServiceServer.
func (c *Cluster) RemoveMember(ctx context.Context, request *configstorev1.RemoveMemberRequest) (*configstorev1.RemoveMemberResponse, error) {
	if err := c.may(ctx); err != nil {
		return nil, coded(err)
	}
	id, err := engine.ParseID(request.GetMemberId())
	if err == nil {
		err = c.engine.RemoveMember(ctx, id)
	}
	if err != nil {
		return nil, coded(err)
	}
	return &configstorev1.RemoveMemberResponse{}, nil
}

// MoveLeader implements ClusterServiceServer.
func (c *Cluster) MoveLeader(ctx context.Context, request *configstorev1.MoveLeaderRequest) (*configstorev1.MoveLeaderResponse, error) {
	if err := c.may(ctx); err != nil {
		return nil, coded(err)
	}
	id, err := engine.ParseID(request.GetMemberId())
	if err == nil {
		err = c.engine.MoveLeader(ctx, id)
	}
	if err != nil {
		return nil, coded(err)
	}
	return &configstorev1.MoveLeaderResponse{}, nil
}

// Defragment implements ClusterServiceServer.
func (c *Cluster) Defragment(ctx context.Context, _ *configstorev1.DefragmentRequest) (*configstorev1.DefragmentResponse, error) {
	if err := c.may(ctx); err != nil {
		return nil, coded(err)
	}
	before := c.engine.Status().SizeBytes
	if err := c.engine.Defragment(); err != nil {
		return nil, coded(err)
	}
	return &configstorev1.DefragmentResponse{BeforeBytes: before, AfterBytes: c.engine.Status().SizeBytes}, nil
}

// SaveSnapshot implements ClusterServiceStreamServer.
func (c *Cluster) SaveSnapshot(
	ctx context.Context, _ *configstorev1.SaveSnapshotRequest, stream *connect.ServerStream[configstorev1.SaveSnapshotResponse],
) error {
	if err := c.may(ctx); err != nil {
		return coded(err)
	}
	out := &pieces{stream: stream, total: c.engine.Status().SizeBytes}
	if _, err := c.engine.Snapshot(ctx, out); err != nil {
		return coded(err)
	}
	return out.flush()
}

// pieces is a writer that sends messages.
type pieces struct {
	stream *connect.ServerStream[configstorev1.SaveSnapshotResponse]
	total  int64
	held   []byte
}

var _ io.Writer = (*pieces)(nil)

// Write implements io.Writer.
func (p *pieces) Write(data []byte) (int, error) {
	p.held = append(p.held, data...)
	for len(p.held) >= snapshotPiece {
		if err := p.send(p.held[:snapshotPiece]); err != nil {
			return 0, err
		}
		p.held = append([]byte(nil), p.held[snapshotPiece:]...)
	}
	return len(data), nil
}

func (p *pieces) flush() error {
	if len(p.held) == 0 {
		return nil
	}
	return p.send(p.held)
}

func (p *pieces) send(data []byte) error {
	err := p.stream.Send(&configstorev1.SaveSnapshotResponse{Data: data, TotalBytes: p.total})
	if err != nil {
		return fmt.Errorf("send snapshot: %w", err)
	}
	return nil
}

// Measure implements ClusterServiceServer.
func (c *Cluster) Measure(ctx context.Context, request *configstorev1.MeasureRequest) (*configstorev1.MeasureResponse, error) {
	if err := c.may(ctx); err != nil {
		return nil, coded(err)
	}
	d := defaultMeasure
	if request.GetDuration() != nil {
		d = request.GetDuration().AsDuration()
	}
	m, err := c.engine.Measure(ctx, d)
	if err != nil {
		return nil, coded(err)
	}
	response := &configstorev1.MeasureResponse{
		Stall: durationpb.New(m.Stall), DiskP50: durationpb.New(m.DiskP50), DiskP99: durationpb.New(m.DiskP99),
		DiskMax: durationpb.New(m.DiskMax), Recommended: m.Recommended, InForce: m.InForce, Fits: m.Fits,
	}
	for _, peer := range m.Peers {
		response.Peers = append(response.Peers, &configstorev1.MeasureResponse_Peer{
			Name: peer.Name, Sent: uint32(peer.Sent), Lost: uint32(peer.Lost), //nolint:gosec // one every 50 ms
			P50: durationpb.New(peer.P50), P99: durationpb.New(peer.P99), Max: durationpb.New(peer.Max),
		})
	}
	return response, nil
}

// Rekey implements ClusterServiceStreamServer.
func (c *Cluster) Rekey(
	ctx context.Context, _ *configstorev1.RekeyRequest, stream *connect.ServerStream[configstorev1.RekeyResponse],
) error {
	if err := c.may(ctx); err != nil {
		return coded(err)
	}
	response := func(r store.Rekeyed) *configstorev1.RekeyResponse {
		return &configstorev1.RekeyResponse{KeyId: r.Key, Done: int64(r.Done), Total: int64(r.Total), Revision: r.Revision}
	}
	made, err := c.store.Rekey(ctx, func(r store.Rekeyed) error {
		if r.Done%rekeyTold != 0 {
			return nil
		}
		return stream.Send(response(r))
	})
	if err != nil {
		return coded(err)
	}
	last := response(made)
	last.Finished = true
	return stream.Send(last)
}

// rekeyTold is after how many values progress is told of.
const rekeyTold = 50
