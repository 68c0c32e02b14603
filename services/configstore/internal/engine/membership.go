package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/types"
	"go.etcd.io/etcd/server/v3/etcdserver/api/membership"
	etcderrors "go.etcd.io/etcd/server/v3/etcdserver/errors"
)

var (
	// ErrMember means that there is no such member, or already one.
	ErrMember = errors.New("member")
	// ErrQuorum means that a change would leave too few members to decide.
	ErrQuorum = errors.New("too few members would be left to decide")
	// ErrNotReady means a learner that is still too far behind to vote.
	ErrNotReady = errors.New("learner has not caught up yet")
)

// AddMember tells the cluster of a member that is to join, as a learner: it
// takes entries but has no vote until it has caught up, and is then promoted
// by the leader. It returns what the new member's Cluster.Members is to be.
func (e *Engine) AddMember(ctx context.Context, name, peerURL string) (id uint64, members []string, err error) {
	urls, err := types.NewURLs([]string{peerURL})
	if err != nil {
		return 0, nil, fmt.Errorf("peer_url: %w", err)
	}
	for _, m := range e.etcd.Server.Cluster().Members() {
		if name != "" && m.Name == name {
			return 0, nil, fmt.Errorf("name: %w %q exists", ErrMember, name)
		}
		if m.Name == "" {
			return 0, nil, fmt.Errorf("%w %s was added and has not started yet; start or remove it first", ErrMember, FormatID(uint64(m.ID)))
		}
		members = append(members, m.Name+"="+strings.Join(m.PeerURLs, ","))
	}
	now := time.Now() // part of the id only
	added := membership.NewMemberAsLearner("", urls, "", &now)
	if _, err := e.etcd.Server.AddMember(ctx, *added); err != nil {
		return 0, nil, memberError(err)
	}
	members = append(members, name+"="+peerURL)
	slices.Sort(members)
	return uint64(added.ID), members, nil
}

// RemoveMember takes a member out of the cluster for good: it stops, and its
// data folder cannot be used again.
func (e *Engine) RemoveMember(ctx context.Context, id uint64) error {
	_, err := e.etcd.Server.RemoveMember(ctx, id)
	return memberError(err)
}

// PromoteMember gives a learner its vote.
func (e *Engine) PromoteMember(ctx context.Context, id uint64) error {
	_, err := e.etcd.Server.PromoteMember(ctx, id)
	return memberError(err)
}

// MoveLeader has another member lead. It works on the leader only.
func (e *Engine) MoveLeader(ctx context.Context, to uint64) error {
	return memberError(e.etcd.Server.MoveLeader(ctx, e.etcd.Server.Lead(), to))
}

// moved tells the cluster where this member is reached now, if that changed:
// a lone member gets its first address when it is to have company.
func (e *Engine) moved(ctx context.Context, peerURL string) error {
	self := e.etcd.Server.Cluster().Member(e.etcd.Server.MemberID())
	if self == nil || slices.Equal(self.PeerURLs, []string{peerURL}) {
		return nil
	}
	changed := *self
	changed.PeerURLs = []string{peerURL}
	_, err := e.etcd.Server.UpdateMember(ctx, changed)
	return memberError(err)
}

func memberError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, membership.ErrIDNotFound), errors.Is(err, membership.ErrIDRemoved):
		return fmt.Errorf("%w is not known", ErrMember)
	case errors.Is(err, membership.ErrIDExists), errors.Is(err, membership.ErrPeerURLexists):
		return fmt.Errorf("%w with this address exists", ErrMember)
	case errors.Is(err, membership.ErrTooManyLearners):
		return fmt.Errorf("%w: one learner at a time; wait until it is promoted, or remove it", ErrMember)
	case errors.Is(err, membership.ErrMemberNotLearner):
		return fmt.Errorf("%w votes already", ErrMember)
	case errors.Is(err, etcderrors.ErrLearnerNotReady):
		return ErrNotReady
	case errors.Is(err, etcderrors.ErrNotEnoughStartedMembers), errors.Is(err, etcderrors.ErrUnhealthy):
		return fmt.Errorf("%w: %w", ErrQuorum, err)
	default:
		return err
	}
}
