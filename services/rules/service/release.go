package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/configclient"
	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/lifecycle"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/internal/api"
	"github.com/backlot-video/backlot/services/rules/internal/catalog"
	"github.com/backlot-video/backlot/services/rules/internal/release"
)

// Programs are compiled again from newer facts when so many were judged.
const (
	resampleEvery = 10 * time.Minute
	resampleFacts = 10_000
)

// Release has the settings of releases.
type Release struct {
	// Webhooks are URLs, with commas between, that are told each step of a
	// release and each alarm. Default: none.
	Webhooks string
	// WebhookSecret is the file with the secret that signs their requests.
	WebhookSecret string
	// Labels of this replica, `zone=eu,ring=early`, by which a canary may
	// choose it. Default: none.
	Labels string
}

func (r *Release) registerFlags(set *config.Set) {
	set.String(&r.Webhooks, "webhooks", "", "`URLs`, with commas between, that are told of releases: https, or http on loopback; empty: none")
	set.String(&r.WebhookSecret, "webhook-secret", "", "`file` with the secret, of at least 16 bytes, that signs the requests of webhooks")
	set.String(&r.Labels, "labels", "", "`labels` of this replica, by which a canary may choose it: zone=eu,ring=early")
}

func (r *Release) validate() []error {
	var faults []error
	if _, err := r.hooks(nil, nil); err != nil {
		faults = append(faults, err)
	}
	if _, err := r.labels(); err != nil {
		faults = append(faults, err)
	}
	return faults
}

func (r *Release) labels() (map[string]string, error) {
	if r.Labels == "" {
		return nil, nil
	}
	labels := map[string]string{}
	for pair := range strings.SplitSeq(r.Labels, ",") {
		name, value, found := strings.Cut(strings.TrimSpace(pair), "=")
		if !found || name == "" {
			return nil, fmt.Errorf("rules.labels: %q is not name=value", pair)
		}
		labels[name] = value
	}
	return labels, nil
}

// hooks reads the secret and returns a hook for each URL.
func (r *Release) hooks(clock func() time.Time, host *lifecycle.Host) ([]*release.Hook, error) {
	if r.Webhooks == "" {
		return nil, nil
	}
	if r.WebhookSecret == "" {
		return nil, errors.New("rules.webhook-secret: webhooks need one")
	}
	secret, err := os.ReadFile(r.WebhookSecret)
	if err != nil {
		return nil, fmt.Errorf("rules.webhook-secret: %w", err)
	}
	sent := release.HookMetrics(nil)
	if host != nil {
		sent = release.HookMetrics(host.Registerer)
	}
	var hooks []*release.Hook
	for address := range strings.SplitSeq(r.Webhooks, ",") {
		hook, err := release.NewHook(strings.TrimSpace(address), bytes.TrimSpace(secret), clock, sent)
		if err != nil {
			return nil, fmt.Errorf("rules.webhooks: %w", err)
		}
		hooks = append(hooks, hook)
	}
	return hooks, nil
}

// releases are the parts that bring rulesets into force.
type releases struct {
	catalog  *catalog.Catalog
	follower *release.Follower
	teller   *release.Teller
	store    *release.Store // nil: there is no configstore
	rulesets atomic.Pointer[informer.Informer[*rulesv1.Ruleset]]
}

// open makes the catalog and what feeds and watches it.
func (r *Release) open(host *lifecycle.Host, config catalog.Config) (*releases, error) {
	labels, err := r.labels()
	if err != nil {
		return nil, err
	}
	all := &releases{}
	config.Labels = labels
	config.Refused = func(refusal catalog.Refusal) {
		all.teller.Refused(refusal)
		all.withRuleset(refusal.Ruleset, func(in *informer.Informer[*rulesv1.Ruleset], object *informer.Object[*rulesv1.Ruleset]) {
			in.Reject(object, fmt.Errorf("version %s: %s", refusal.Version, refusal.Reason))
		})
	}
	config.Mended = func(ruleset string) { all.withRuleset(ruleset, (*informer.Informer[*rulesv1.Ruleset]).Accept) }
	all.catalog = catalog.New(config)
	all.follower = release.NewFollower(all.catalog, host.Clock)
	all.teller = release.NewTeller(release.TellerConfig{
		Follower: all.follower, File: filepath.Join(host.DataDir, "told.json"),
		Log: host.Log, Clock: host.Clock, Registerer: host.Registerer,
		Publish: func(ctx context.Context, envelope *eventv1.Envelope) error {
			client, err := host.MQ(ctx)
			if err != nil {
				return err
			}
			return client.Publish(ctx, name, envelope)
		},
	})
	return all, nil
}

// withRuleset calls report with the object of a ruleset, through which the
// configstore learns whether this replica can use it.
func (all *releases) withRuleset(name string, report func(*informer.Informer[*rulesv1.Ruleset], *informer.Object[*rulesv1.Ruleset])) {
	rulesets := all.rulesets.Load()
	if rulesets == nil {
		return
	}
	if object, found := rulesets.Object(release.SplitName(name)); found {
		report(rulesets, object)
	}
}

// serve answers operators, moves rollouts on and tells of them.
func (all *releases) serve(host *lifecycle.Host, hooks []*release.Hook) {
	host.Handle(rulesv1.ReleaseServiceDesc, api.NewReleases(&release.Manager{
		Catalog: all.catalog, Follower: all.follower, Store: all.store, Refused: all.teller.Refused,
	}))
	host.Go("tell releases", all.teller.Run)
	if all.store != nil {
		controller := &release.Controller{
			Catalog: all.catalog, Follower: all.follower, Store: all.store,
			Log: host.Log, Clock: host.Clock, Registerer: host.Registerer,
		}
		host.Go("rollouts", controller.Run)
	}
	for _, hook := range hooks {
		host.Go("webhook", func(ctx context.Context) error {
			client, err := host.MQ(ctx)
			if err != nil {
				return err
			}
			return client.Consume(ctx, hook.Consumer())
		})
	}
	host.Go("resample", func(ctx context.Context) error {
		ticker := time.NewTicker(resampleEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-ticker.C:
				all.catalog.Resample(resampleFacts)
			}
		}
	})
}

// withConfigstore lets releases be changed where there is a configstore.
func (all *releases) withConfigstore(host *lifecycle.Host) {
	if _, alone := host.Source().(*informer.Static); !alone {
		all.store = release.NewStore(configclient.New(host.Dial("configstore"), host.Registerer), host.Clock)
	}
}

// followRulesets takes rulesets and their versions up.
func (all *releases) followRulesets(ctx context.Context, host *lifecycle.Host) error {
	versions := start[*rulesv1.RulesetVersion](host, "RulesetVersion", func(event informer.Event[*rulesv1.RulesetVersion]) {
		if event.Type == informer.Deleted {
			all.follower.DeleteVersion(fullName(event.Object))
			return
		}
		all.follower.PutVersion(fullName(event.Object), event.Object.Spec)
	})
	if err := versions.WaitSynced(ctx); err != nil {
		return err
	}
	var synced atomic.Bool // what is there at the start does not wait for versions: something has to judge
	rulesets := informerOf[*rulesv1.Ruleset](host, "Ruleset")
	all.rulesets.Store(rulesets)
	run(host, "Ruleset", rulesets, func(event informer.Event[*rulesv1.Ruleset]) error {
		if event.Type == informer.Deleted {
			all.follower.DeleteRuleset(fullName(event.Object))
			return nil
		}
		all.follower.PutRuleset(fullName(event.Object), version(event.Object), event.Object.Spec, synced.Load())
		all.teller.Wake()
		return nil // what cannot be compiled is rejected by the catalog, also later
	})
	err := rulesets.WaitSynced(ctx)
	synced.Store(true)
	return err
}
