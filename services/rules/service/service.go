// Package service wires rules: rulesets, lists and fact types from the
// configstore or a folder into the catalog, and its API.
package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gocloud.dev/blob"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/lifecycle"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/internal/api"
	"github.com/backlot-video/backlot/services/rules/internal/catalog"
	"github.com/backlot-video/backlot/services/rules/internal/counting"
	"github.com/backlot-video/backlot/services/rules/internal/folder"
	"github.com/backlot-video/backlot/services/rules/internal/listing"
	"github.com/backlot-video/backlot/services/rules/internal/part"
	"github.com/backlot-video/backlot/services/rules/list"
)

const name = "rules"

// Config has the settings of rules.
type Config struct {
	// Dir is a folder of rulesets, lists and descriptor sets that is used
	// instead of the configstore. Default: none.
	Dir      string
	Velocity Velocity
	// Budget bounds what judging one fact may cost, in units of about a
	// nanosecond. Default rules.DefaultBudget.
	Budget int
	// ListEntries and ListBytes bound a list. Default 20 million entries of
	// 1 GiB together, without what holds them.
	ListEntries int
	ListBytes   int64
	Release     Release
}

// Service is rules.
type Service struct{ config Config }

// New returns rules with default settings.
func New() *Service { return &Service{} }

// Name implements lifecycle.Service.
func (s *Service) Name() string { return name }

// RegisterFlags implements lifecycle.Service.
func (s *Service) RegisterFlags(set *config.Set) {
	set.String(&s.config.Dir, "dir", "", "`folder` of *.rules, *.list and *.binpb files that is used instead of the configstore; empty: none")
	set.Int(&s.config.Budget, "budget", rules.DefaultBudget, "most that judging one fact by a ruleset may cost, in `units` of about a nanosecond as if every part of every rule were looked at; others are refused")
	set.Int(&s.config.ListEntries, "list-entries", list.DefaultMaxEntries, "most `entries` of a list")
	set.Size(&s.config.ListBytes, "list-bytes", list.DefaultMaxBytes, "most `bytes` of a list's entries together; what holds them takes about 10 bytes an entry more")
	s.config.Velocity.registerFlags(set)
	s.config.Release.registerFlags(set)
}

// Validate implements lifecycle.Service.
func (s *Service) Validate() error {
	faults := append(s.config.Velocity.validate(), s.config.Release.validate()...)
	if s.config.Budget < 1 {
		faults = append(faults, errors.New("rules.budget: must be at least 1"))
	}
	if s.config.ListEntries < 1 || s.config.ListEntries > 1<<30 {
		faults = append(faults, errors.New("rules.list-entries: must be 1 to 1073741824"))
	}
	if s.config.ListBytes < 1 || s.config.ListBytes > 4<<30 {
		faults = append(faults, errors.New("rules.list-bytes: must be 1 to 4GiB"))
	}
	if dir := s.config.Dir; dir != "" {
		if info, err := os.Stat(dir); err != nil {
			faults = append(faults, fmt.Errorf("rules.dir: %w", err))
		} else if !info.IsDir() {
			faults = append(faults, fmt.Errorf("rules.dir: %s is no folder", dir))
		}
	}
	return errors.Join(faults...)
}

// Run implements lifecycle.Service.
func (s *Service) Run(ctx context.Context, host *lifecycle.Host) error {
	counts, err := s.config.Velocity.open(ctx, host)
	if err != nil {
		return err
	}
	hooks, err := s.config.Release.hooks(host.Clock, host)
	if err != nil {
		return err
	}
	all, err := s.config.Release.open(host, catalog.Config{
		Budget: int64(s.config.Budget),
		Log:    host.Log, Registerer: host.Registerer, Clock: host.Clock,
		Dir: filepath.Join(host.DataDir, "good"), Counters: counts,
	})
	if err != nil {
		return err
	}
	c := all.catalog
	payment := (*rulesv1.PaymentFact)(nil).ProtoReflect().Descriptor()
	if err := c.AddBuiltin(payment); err != nil {
		return err
	}
	host.Handle(rulesv1.RulesServiceDesc, confirmed{api.New(c), counts})
	host.Handle(rulesv1.VelocityServiceDesc, counting.NewServer(counts))
	limits := list.Config{MaxEntries: s.config.ListEntries, MaxBytes: s.config.ListBytes}
	var parts *part.Store
	if s.config.Dir != "" {
		files := &folder.Folder{Dir: s.config.Dir, Catalog: c, Log: host.Log, FactType: string(payment.FullName()), Limits: limits}
		if err := files.Sync(); err != nil {
			return err
		}
		host.Go("folder", files.Run)
	} else {
		store, err := openParts(host)
		if err != nil {
			return err
		}
		parts = store
		loader := listing.New(listing.Config{Catalog: c, Store: store, Log: host.Log, Dir: filepath.Join(host.DataDir, "lists"), Limits: limits})
		all.withConfigstore(host)
		if err := follow(ctx, host, all, loader); err != nil {
			return err
		}
	}
	host.Handle(rulesv1.ListServiceDesc, api.NewLists(c, parts))
	all.serve(host, hooks)
	host.Go("velocity", counts.Serve)
	host.Ready()
	<-ctx.Done()
	return nil
}

// openParts opens where the content of long lists is kept.
func openParts(host *lifecycle.Host) (*part.Store, error) {
	open := func(ctx context.Context) (*blob.Bucket, error) { return host.Bucket(ctx, "lists") }
	local, _ := host.BucketDir("lists")
	return part.NewStore(open, local, filepath.Join(host.DataDir, "lists", "parts"))
}
