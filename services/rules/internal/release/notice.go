package release

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/file"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/mq"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/internal/catalog"
)

// The facts that are told.
const (
	ReleasedType = "backlot.rules.ruleset_released.v1"
	RefusedType  = "backlot.rules.ruleset_refused.v1"
)

const (
	maxAlarms = 64 // that wait to be told
	// youngest is how old a step may be that a replica tells which does not
	// remember what it told: a new one has only the newest to add.
	youngest   = 10 * time.Minute
	tellEvery  = 5 * time.Second
	tellLeast  = 200 * time.Millisecond // between tries, doubled
	tellMost   = 30 * time.Second
	publishFor = 10 * time.Second
	maxKey     = 128 // bytes of an envelope's key
)

// TellerConfig has what a Teller needs. Registerer may be nil.
type TellerConfig struct {
	Follower *Follower
	// Publish hands a fact to the broker and returns when it has it.
	Publish func(ctx context.Context, envelope *eventv1.Envelope) error
	// File remembers what was told.
	File       string
	Log        *slog.Logger
	Clock      func() time.Time
	Registerer prometheus.Registerer
}

// Teller tells steps and alarms as facts. Steps are taken from the rulesets'
// logs and told again after a crash; all replicas tell them, under an id that
// depends on the step alone, so that the broker keeps one.
type Teller struct {
	config TellerConfig
	wake   chan struct{}
	alarms chan catalog.Refusal
	told   map[string]uint64 // number of the last step, by ruleset

	steps   *prometheus.CounterVec
	dropped prometheus.Counter
	refused prometheus.Counter
}

// NewTeller returns a teller that remembers what is in its file.
func NewTeller(config TellerConfig) *Teller {
	t := &Teller{
		config: config, wake: make(chan struct{}, 1), alarms: make(chan catalog.Refusal, maxAlarms), told: map[string]uint64{},
		steps: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "backlot_rules_release_steps_total", Help: "Steps of releases that this replica saw, by kind (started, promoted, completed, rolled_back) and stage.",
		}, []string{"ruleset", "kind", "stage"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_rules_alarms_total", Help: "Alarms of versions that do not compile or fail their tests.",
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "backlot_rules_alarms_dropped_total", Help: "Alarms that were not told as facts, since too many waited.",
		}),
	}
	if config.Registerer != nil {
		config.Registerer.MustRegister(t.steps, t.refused, t.dropped)
	}
	raw, err := os.ReadFile(config.File)
	if err == nil {
		err = json.Unmarshal(raw, &t.told)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		config.Log.Warn("it is not known which releases were told", "err", err)
		t.told = map[string]uint64{}
	}
	return t
}

// Wake says that there may be something to tell.
func (t *Teller) Wake() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// Refused tells an alarm. It does not wait.
func (t *Teller) Refused(r catalog.Refusal) {
	t.refused.Inc()
	select {
	case t.alarms <- r:
		t.Wake()
	default:
		t.dropped.Inc()
	}
}

// Run tells until ctx ends.
func (t *Teller) Run(ctx context.Context) error {
	var pending []*eventv1.Envelope // alarms that the broker has not taken
	wait, ticker := tellLeast, time.NewTicker(tellEvery)
	defer ticker.Stop()
	for {
		pending = append(pending, t.takeAlarms()...)
		err := t.tellAlarms(ctx, &pending)
		if err == nil {
			err = t.tellSteps(ctx)
		}
		if ctx.Err() != nil {
			return nil
		}
		var again <-chan time.Time
		wake := t.wake
		if err != nil {
			t.config.Log.Warn("release cannot be told and is tried again", "err", err, "wait", wait)
			again, wake = time.After(wait/2+rand.N(wait/2)), nil
			wait = min(2*wait, tellMost)
		} else {
			wait = tellLeast
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again:
		case <-wake:
		case <-ticker.C:
		}
	}
}

func (t *Teller) takeAlarms() (envelopes []*eventv1.Envelope) {
	for range len(t.alarms) {
		r := <-t.alarms
		now := t.config.Clock().UnixMicro()
		envelope, err := envelopeOf(RefusedType, r.Ruleset, now, &rulesv1.RulesetRefused{
			Ruleset: r.Ruleset, Version: r.Version, Reason: shorten(r.Reason), LiveVersion: r.InForce, At: now,
		}, r.Version+"\x00"+r.Reason)
		if err != nil {
			t.config.Log.Error("alarm cannot be told", "ruleset", r.Ruleset, "err", err)
			continue
		}
		envelopes = append(envelopes, envelope)
	}
	return envelopes
}

func (t *Teller) tellAlarms(ctx context.Context, pending *[]*eventv1.Envelope) error {
	if over := len(*pending) - maxAlarms; over > 0 {
		t.dropped.Add(float64(over))
		*pending = (*pending)[over:]
	}
	for len(*pending) > 0 {
		if err := t.publish(ctx, (*pending)[0]); err != nil {
			return err
		}
		*pending = (*pending)[1:]
	}
	return nil
}

// tellSteps tells what of the rulesets' logs was not told yet.
func (t *Teller) tellSteps(ctx context.Context) error {
	rulesets := t.config.Follower.Rulesets()
	for _, name := range slices.Sorted(maps.Keys(rulesets)) {
		for _, step := range t.untold(name, rulesets[name].GetLog()) {
			envelope, err := envelopeOf(ReleasedType, name, step.GetAt(), &rulesv1.RulesetReleased{Ruleset: name, Transition: step},
				fmt.Sprint(step.GetNumber(), "\x00", step.GetAt()))
			if err != nil {
				return err
			}
			envelope.Sequence = int64(step.GetNumber())
			if err := t.publish(ctx, envelope); err != nil {
				return err
			}
			t.steps.WithLabelValues(name, kindName(step.GetKind()), stageName(step.GetStage())).Inc()
			t.config.Log.Info("release step", "ruleset", name, "kind", kindName(step.GetKind()), "version", step.GetVersion(),
				"stage", stageName(step.GetStage()), "in_force", step.GetLiveVersion(), "author", step.GetAuthor(), "reason", step.GetReason())
			if err := t.remember(name, step.GetNumber()); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *Teller) untold(name string, log []*rulesv1.Transition) []*rulesv1.Transition {
	if len(log) == 0 {
		return nil
	}
	last, known := t.told[name]
	if newest := log[len(log)-1].GetNumber(); known && newest < last {
		last = 0 // the ruleset was made anew
	}
	old := t.config.Clock().Add(-youngest).UnixMicro()
	return slices.DeleteFunc(slices.Clone(log), func(step *rulesv1.Transition) bool {
		return known && step.GetNumber() <= last || !known && step.GetAt() < old
	})
}

func (t *Teller) remember(name string, number uint64) error {
	t.told[name] = number
	raw, err := json.Marshal(t.told)
	if err != nil {
		return err
	}
	return file.Replace(t.config.File, raw)
}

func (t *Teller) publish(ctx context.Context, envelope *eventv1.Envelope) error {
	ctx, cancel := context.WithTimeout(ctx, publishFor)
	defer cancel()
	return t.config.Publish(ctx, envelope)
}

// envelopeOf wraps a fact of a ruleset under an id that depends on what it is
// about.
func envelopeOf(factType, ruleset string, at int64, fact proto.Message, about string) (*eventv1.Envelope, error) {
	envelope, err := mq.NewEnvelope(identity.DefaultTenant, factType, ruleset[max(0, len(ruleset)-maxKey):], fact)
	if err != nil {
		return nil, err
	}
	envelope.Id, envelope.OccurredAt = idOf(factType, ruleset, about), at
	return envelope, nil
}

// idOf is a UUID (version 8) of a text.
func idOf(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		_, _ = h.Write([]byte(part + "\x00"))
	}
	id := h.Sum(nil)[:16]
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	text := hex.EncodeToString(id)
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

func kindName(kind rulesv1.Transition_Kind) string {
	switch kind {
	case rulesv1.Transition_KIND_STARTED:
		return "started"
	case rulesv1.Transition_KIND_PROMOTED:
		return "promoted"
	case rulesv1.Transition_KIND_COMPLETED:
		return "completed"
	case rulesv1.Transition_KIND_ROLLED_BACK:
		return "rolled_back"
	case rulesv1.Transition_KIND_UNSPECIFIED:
	}
	return "unknown"
}
