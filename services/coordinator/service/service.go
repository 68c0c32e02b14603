// Package service wires coordinator: the runner of global transactions over
// its SQL log, the participants that it calls, and its API.
package service

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/file"
	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/kit/mq"
	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	"github.com/backlot-video/backlot/services/coordinator/internal/api"
	"github.com/backlot-video/backlot/services/coordinator/internal/participant"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/store"
	backlotsql "github.com/backlot-video/backlot/sql"
)

const name = "coordinator"

// Bounds of a notification of an end, with waits of 100 ms to 30 s between
// attempts; then the fact is parked.
const (
	notifyAttempts = 12
	notifyTimeout  = 5 * time.Second
)

// Config has coordinator's settings.
type Config struct {
	// MaxActive is how many transactions may be under way; more are refused.
	// Default 1024.
	MaxActive int
	// Attempts is how many calls of one Confirm or Cancel are made before the
	// transaction is parked. Default 100, about a quarter of an hour.
	Attempts int
	// TryTimeout is the time of the Try phase where Submit names none. Default
	// 10 s.
	TryTimeout time.Duration
	// CallTimeout bounds one call of a participant. Default 5 s.
	CallTimeout time.Duration
	// FirstBackoff is the wait before a call's second attempt; it doubles from
	// there. Default 50 ms.
	FirstBackoff time.Duration
	// MostBackoff is the longest wait between attempts. Default 10 s.
	MostBackoff time.Duration
	// Lease is the time after which other coordinators take over the
	// transactions of one that gives no sign of life. Default 3 s.
	Lease time.Duration
	// Participants gives services on this machine fixed addresses, as in
	// `settlement=127.0.0.1:8104,shop=unix:/run/shop.sock`. Default none: they
	// are found by the configstore.
	Participants string
	// HTTPAllow are the addresses that branches and notifications may name, as
	// in `https://shop.example/tcc,http://127.0.0.1:9000`: scheme, host, port and
	// the paths at or below a path. Default none.
	HTTPAllow string
	// DrainTimeout is the time that transactions under way get at a stop; the
	// rest goes on after the next start. Default 1 s.
	DrainTimeout time.Duration
	// Retention is the time after which an ended transaction is removed; its
	// xid is free again then. Default 168 h; 0 keeps all.
	Retention time.Duration
	// Facts has a fact told of every transaction that ends. Default true; false
	// saves a sixth of a transaction's cost where nobody listens.
	Facts bool
}

// Service is coordinator.
type Service struct{ config Config }

// New returns coordinator with default settings.
func New() *Service { return &Service{} }

// Name implements lifecycle.Service.
func (s *Service) Name() string { return name }

// RegisterFlags implements lifecycle.Service.
func (s *Service) RegisterFlags(set *config.Set) {
	c := &s.config
	set.Int(&c.MaxActive, "max-active", 1024, "`transactions` under way at a time; more are refused")
	set.Int(&c.Attempts, "attempts", 100, "`calls` of one confirm or cancel before the transaction is parked")
	set.Duration(&c.TryTimeout, "try-timeout", 10*time.Second, "`time` of the try phase where the caller gives none")
	set.Duration(&c.CallTimeout, "call-timeout", 5*time.Second, "longest `time` of one call of a participant")
	set.Duration(&c.FirstBackoff, "first-backoff", 50*time.Millisecond, "`wait` before the second attempt; doubles from there")
	set.Duration(&c.MostBackoff, "most-backoff", 10*time.Second, "longest `wait` between attempts")
	set.Duration(&c.Lease, "lease", 3*time.Second, "`time` after which others take over from a silent coordinator")
	set.String(&c.Participants, "participants", "", "`name=address,...` of services on this machine; others are found by the configstore")
	set.String(&c.HTTPAllow, "http-allow", "", "`http://host[:port][/path],...` that branches and notifications by plain HTTP may name; empty: none")
	set.Duration(&c.DrainTimeout, "drain-timeout", time.Second, "`time` for transactions under way at a stop")
	set.Bool(&c.Facts, "facts", true, "tell a fact of every transaction that ends; notifications are sent in any case")
	set.Duration(&c.Retention, "retention", 7*24*time.Hour, "`time` after which ended transactions are removed; 0 keeps them")
}

// Validate implements lifecycle.Service.
func (s *Service) Validate() error {
	c := s.config
	var faults []error
	least := func(field string, value, least time.Duration) {
		if value < least {
			faults = append(faults, fmt.Errorf("coordinator.%s: %v, must be at least %v", field, value, least))
		}
	}
	if c.MaxActive < 1 {
		faults = append(faults, fmt.Errorf("coordinator.max-active: %d, must be at least 1", c.MaxActive))
	}
	if c.Attempts < 1 {
		faults = append(faults, fmt.Errorf("coordinator.attempts: %d, must be at least 1", c.Attempts))
	}
	least("try-timeout", c.TryTimeout, time.Millisecond)
	least("call-timeout", c.CallTimeout, time.Millisecond)
	least("first-backoff", c.FirstBackoff, time.Millisecond)
	least("most-backoff", c.MostBackoff, c.FirstBackoff)
	least("lease", c.Lease, 300*time.Millisecond)
	least("drain-timeout", c.DrainTimeout, time.Millisecond)
	if c.Retention != 0 {
		least("retention", c.Retention, time.Minute)
	}
	if _, err := parseParticipants(c.Participants); err != nil {
		faults = append(faults, err)
	}
	if _, err := participant.ParseAllowList(c.HTTPAllow); err != nil {
		faults = append(faults, fmt.Errorf("coordinator.http-allow: %w", err))
	}
	return errors.Join(faults...)
}

// Run implements lifecycle.Service.
func (s *Service) Run(ctx context.Context, host *lifecycle.Host) error {
	db, err := host.Database(ctx, backlotsql.Migrations(name))
	if err != nil {
		return err
	}
	broker, err := host.MQ(ctx)
	if err != nil {
		return err
	}
	outbox := mq.NewOutbox(mq.OutboxConfig{Service: name, DB: db, Client: broker, Log: host.Log, Clock: host.Clock})
	kept := store.Config{Registerer: host.Registerer, Clock: host.Clock}
	kept.Tell, kept.Told = tell(outbox, s.config.Facts), gathered(outbox.Wake, gatherFacts)
	log := store.New(db, kept)
	id, err := hostID(host.DataDir)
	if err != nil {
		return err
	}
	fixed, err := parseParticipants(s.config.Participants)
	if err != nil {
		return err
	}
	dial, stop := dialer(host, fixed)
	defer func() { _ = stop() }() // nobody uses it any more
	allow, err := participant.ParseAllowList(s.config.HTTPAllow)
	if err != nil {
		return err
	}
	participants := participant.New(dial, allow)
	defer participants.Close()
	drives := runner.New(log, participants, s.runnerConfig(host, id))
	host.Handle(coordinatorv1.CoordinatorServiceDesc, api.New(drives, api.Config{Allow: allow.Check}))
	host.Go("outbox", outbox.Run)
	if s.config.HTTPAllow != "" {
		host.Go("notify", func(ctx context.Context) error {
			return broker.Consume(ctx, mq.Consumer{
				Durable: "coordinator_notify", Subjects: mq.Subjects(api.NotificationDue),
				Handler: participants.NotifyEnd, Lanes: mq.Shards, Attempts: notifyAttempts, Timeout: notifyTimeout,
			})
		})
	}
	return drives.Run(ctx, host.Ready)
}

// gatherFacts is the least time between two looks for facts to publish: one
// costs much the same for many as for one.
const gatherFacts = 50 * time.Millisecond

// tell makes the facts of a transaction that has ended, as the outbox takes
// them; without ends only where somebody is to be notified.
func tell(outbox *mq.Outbox, ends bool) store.Tell {
	return func(ctx context.Context, t runner.Transaction) ([]store.Fact, error) {
		if !ends && t.Spec.NotifyURL == "" {
			return nil, nil
		}
		envelopes, err := api.Ended(t)
		if err != nil {
			return nil, err
		}
		facts := make([]store.Fact, len(envelopes))
		for i, envelope := range envelopes {
			if facts[i].ID, facts[i].Envelope, err = outbox.Encode(ctx, envelope, t.UpdatedAt.UnixMicro()); err != nil {
				return nil, err
			}
		}
		return facts, nil
	}
}

func (s *Service) runnerConfig(host *lifecycle.Host, id string) runner.Config {
	return runner.Config{
		Host: id, MaxActive: s.config.MaxActive, Attempts: s.config.Attempts,
		TryTimeout: s.config.TryTimeout, CallTimeout: s.config.CallTimeout,
		FirstBackoff: s.config.FirstBackoff, MostBackoff: s.config.MostBackoff,
		Lease: s.config.Lease, DrainTimeout: s.config.DrainTimeout, Retention: s.config.Retention, Seed: seed(),
		Clock: host.Clock, Log: host.Log, Registerer: host.Registerer, NewID: uuid.NewString,
	}
}

// hostID names the data folder, and with it the earlier starts whose work is
// taken up at once. It is made at the first start.
func hostID(dir string) (string, error) {
	path := filepath.Join(dir, "host-id")
	raw, err := file.Once(path, func() []byte { return []byte(uuid.NewString() + "\n") })
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(string(raw))
	if uuid.Validate(id) != nil {
		return "", fmt.Errorf("%s: no UUID in it", path)
	}
	return id, nil
}

// seed makes every process jitter in its own way.
func seed() uint64 {
	var raw [8]byte
	_, _ = rand.Read(raw[:]) // never fails
	return binary.LittleEndian.Uint64(raw[:])
}
