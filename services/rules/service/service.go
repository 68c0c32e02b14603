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
	"github.com/backlot-video/backlot/services/rules/internal/api"
	"github.com/backlot-video/backlot/services/rules/internal/catalog"
	"github.com/backlot-video/backlot/services/rules/internal/counting"
	"github.com/backlot-video/backlot/services/rules/internal/folder"
	"github.com/backlot-video/backlot/services/rules/internal/listing"
	"github.com/backlot-video/backlot/services/rules/internal/part"
)

const name = "rules"

// Config has the settings of rules.
type Config struct {
	// Dir is a folder of rulesets, lists and descriptor sets that is used
	// instead of the configstore. Default: none.
	Dir      string
	Velocity Velocity
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
	s.config.Velocity.registerFlags(set)
}

// Validate implements lifecycle.Service.
func (s *Service) Validate() error {
	faults := s.config.Velocity.validate()
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
	c := catalog.New(catalog.Config{
		Log: host.Log, Registerer: host.Registerer, Clock: host.Clock,
		Dir: filepath.Join(host.DataDir, "good"), Counters: counts,
	})
	payment := (*rulesv1.PaymentFact)(nil).ProtoReflect().Descriptor()
	if err := c.AddBuiltin(payment); err != nil {
		return err
	}
	host.Handle(rulesv1.RulesServiceDesc, confirmed{api.New(c), counts})
	host.Handle(rulesv1.VelocityServiceDesc, counting.NewServer(counts))
	var parts *part.Store
	if s.config.Dir != "" {
		files := &folder.Folder{Dir: s.config.Dir, Catalog: c, Log: host.Log, FactType: string(payment.FullName())}
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
		loader := listing.New(listing.Config{Catalog: c, Store: store, Log: host.Log, Dir: filepath.Join(host.DataDir, "lists")})
		if err := follow(ctx, host, c, loader); err != nil {
			return err
		}
	}
	host.Handle(rulesv1.ListServiceDesc, api.NewLists(c, parts))
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
