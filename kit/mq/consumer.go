package mq

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
)

// ErrUnknownType is for a Handler to return of a fact whose type it does not
// know; the fact is parked at once.
var ErrUnknownType = errors.New("unknown type of fact")

// Consumer tells which facts to handle, and how.
type Consumer struct {
	// Durable is the consumer's name at the broker, `<service>_<purpose>`.
	// Processes of one name share its messages.
	Durable  string
	Subjects []string // see Subjects
	// Handler may be called for any fact again, and at a time for as many
	// facts as there are Lanes, but never for two of one key. A panic counts
	// as an error.
	Handler func(ctx context.Context, envelope *eventv1.Envelope) error
	// Batch, instead of Handler, gets up to BatchLimit of the facts that wait,
	// in order, for one SQL transaction. Where it returns an error it is
	// called again for each of them alone, so one that is refused holds up no
	// other.
	Batch func(ctx context.Context, envelopes []*eventv1.Envelope) error

	BatchLimit    int           // facts that Batch gets; default 64
	Lanes         int           // handlers at a time; default 4, at most Shards
	MaxAckPending int           // messages taken and not acknowledged, of all processes; default 1024
	MaxBytes      int           // of messages asked for, and of those in hand; default 16 MiB, at least 1 MiB
	Attempts      int           // of this process until a message is parked; default 10
	Pause         time.Duration // after the first attempt, then doubled up to 30 s; default 100 ms
	Timeout       time.Duration // of one attempt; default 30 s
	DrainTimeout  time.Duration // for attempts when ctx has ended; default 5 s
	FromNow       bool          // begin with new facts where the consumer is new
}

const (
	ackWait  = 30 * time.Second
	maxPause = 30 * time.Second
	// pullLimit is far above MaxAckPending, which is what bounds the messages in
	// flight: nats.go v1.55 may miss that it has to ask for more where a whole
	// half of the limit is handled while its request is being sent, and stalls
	// for two heartbeats then.
	pullLimit     = 1 << 16
	pullHeartbeat = 5 * time.Second
)

var durableName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)

// Validate returns every fault, joined.
func (c Consumer) Validate() error {
	var faults []error
	check := func(holds bool, fault string) {
		if !holds {
			faults = append(faults, fmt.Errorf("consumer %q: %s", c.Durable, fault))
		}
	}
	check(durableName.MatchString(c.Durable), "durable: it must be of a-z, 0-9, _ and -")
	check(len(c.Subjects) > 0, "subjects: there are none")
	check((c.Handler != nil) != (c.Batch != nil), "handler: either it or batch must be given")
	check(c.BatchLimit >= 0, "batch_limit: below 0")
	check(c.MaxBytes == 0 || c.MaxBytes >= messageLimit, "max_bytes: less than a message may have")
	check(c.Lanes >= 0 && c.Lanes <= Shards, "lanes: out of range")
	check(c.MaxAckPending >= 0 && c.Attempts >= 0, "max_ack_pending, attempts: below 0")
	check(c.Pause >= 0 && c.Timeout >= 0 && c.DrainTimeout >= 0, "pause, timeout, drain_timeout: below 0")
	return errors.Join(faults...)
}

func (c Consumer) withDefaults() Consumer {
	set := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	span := func(field *time.Duration, value time.Duration) {
		if *field == 0 {
			*field = value
		}
	}
	set(&c.Lanes, 4)
	set(&c.MaxAckPending, 1024)
	set(&c.MaxBytes, 16<<20)
	set(&c.BatchLimit, 64)
	if c.Batch != nil {
		c.Handler = func(ctx context.Context, envelope *eventv1.Envelope) error {
			return c.Batch(ctx, []*eventv1.Envelope{envelope})
		}
	} else {
		c.BatchLimit = 1
	}
	set(&c.Attempts, 10)
	span(&c.Pause, 100*time.Millisecond)
	span(&c.Timeout, 30*time.Second)
	span(&c.DrainTimeout, 5*time.Second)
	return c
}
