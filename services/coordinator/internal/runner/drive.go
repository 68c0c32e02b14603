package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// drive is one transaction under way.
type drive struct {
	runner  *Runner
	session *session
	key     Key

	current atomic.Pointer[Status] // what is durable
	started chan struct{}          // closed when begun, or failed to
	failure error                  // why it has not begun; read after started
	decided chan struct{}          // closed when the outcome is durable
	over    chan struct{}          // closed when nothing is under way any more

	wanted bool // recovery has passed it by; guarded by runner.mu

	// The rest belongs to the goroutine of run.
	machine *tcc.Machine
	expiry  *time.Timer
	results chan tcc.Result
	orders  chan order
	calls   sync.WaitGroup
	phase   tcc.Phase            // that the calls belong to
	cut     []context.CancelFunc // of the calls of the phase
}

func newDrive(r *Runner, s *session, key Key) *drive {
	return &drive{
		runner: r, session: s, key: key,
		started: make(chan struct{}), decided: make(chan struct{}), over: make(chan struct{}),
		results: make(chan tcc.Result), orders: make(chan order),
	}
}

// begin makes the transaction durable and starts to drive it. An error means
// that there is none, or ErrExists.
func (d *drive) begin(ctx context.Context, s Submission) error {
	now := d.runner.now()
	timeout := s.Timeout
	if timeout <= 0 {
		timeout = d.runner.config.TryTimeout
	}
	t := Transaction{
		Key: s.Key, Spec: s.Spec, State: tcc.Trying,
		CreatedAt: now, UpdatedAt: now, ExpiresAt: now.Add(timeout),
	}
	d.machine = tcc.New(s.Spec, d.runner.config.Attempts)
	out := d.machine.Begin()
	beforeTryLog.Hit()
	if err := d.runner.store.Begin(ctx, d.session.lease.ID, t, out.Records); err != nil {
		if !errors.Is(err, ErrExists) {
			d.session.sign() // it may have been written all the same
		}
		return d.abandon(fmt.Errorf("begin transaction %s: %w", s.XID, err))
	}
	afterTryLog.Hit()
	d.publish(t)
	close(d.started)
	go d.run(context.WithoutCancel(ctx), out.Calls)
	return nil
}

// recover drives an unfinished transaction from its log.
func (d *drive) recover(ctx context.Context, logged Logged) error {
	out, err := d.restore(logged)
	if err != nil {
		return d.abandon(err)
	}
	if state := d.machine.State(); state.Ended() || state == tcc.Parked {
		return d.abandon(nil) // it ended between the listing and now
	}
	d.runner.metrics.recovered.Inc()
	close(d.started)
	go d.run(context.WithoutCancel(ctx), out.Calls)
	return nil
}

// load makes the machine from the log that is stored.
func (d *drive) load(ctx context.Context) (tcc.Output, error) {
	logged, err := d.runner.store.Load(ctx, d.key)
	if err != nil {
		return tcc.Output{}, err
	}
	return d.restore(logged)
}

func (d *drive) restore(logged Logged) (out tcc.Output, err error) {
	if d.machine, err = tcc.Restore(logged.Spec, d.runner.config.Attempts, logged.Log); err != nil {
		return tcc.Output{}, fmt.Errorf("transaction %s: %w", d.key.XID, err)
	}
	d.publish(logged.Transaction)
	return d.machine.Resume(), nil
}

// abandon ends a drive that has not begun.
func (d *drive) abandon(err error) error {
	d.failure = errRetryClaim // for those who found this drive: they try by themselves
	if d.runner.remove(d) {
		d.session.sign()
	}
	close(d.started)
	close(d.over)
	return err
}

// begun waits until the drive has begun, or returns errRetryClaim.
func (d *drive) begun(ctx context.Context) error {
	select {
	case <-d.started:
		return d.failure
	case <-ctx.Done():
		return ctx.Err()
	}
}

// status is what is durable of the transaction.
func (d *drive) status() Status { return *d.current.Load() }

// publish makes what is durable now visible to who waits.
func (d *drive) publish(t Transaction) {
	first := d.current.Load() == nil || !d.current.Load().State.Decided()
	t.Spec = d.machine.Spec()
	d.current.Store(&Status{Transaction: t, Branches: d.machine.Branches()})
	if first && t.State.Decided() {
		close(d.decided)
	}
}

// wait returns the transaction as soon as a wait is over. Where the drive ends
// before that, another coordinator has it: ErrLost.
func (d *drive) wait(ctx context.Context, wait Wait) (Status, error) {
	if wait == WaitAccepted {
		return d.status(), nil
	}
	signal := d.over
	if wait == WaitDecided {
		signal = d.decided
	}
	select {
	case <-signal:
	case <-d.over:
	case <-ctx.Done():
		return Status{}, ctx.Err()
	}
	if status := d.status(); reached(status.State, wait) {
		return status, nil
	}
	return Status{}, fmt.Errorf("transaction %s: %w", d.key.XID, ErrLost)
}

// run drives the machine until nothing is left to do, the transaction is
// another's, or the session ends. ctx has the values of who asked for it.
func (d *drive) run(ctx context.Context, calls []tcc.Call) {
	defer close(d.over)
	defer func() { d.runner.remove(d) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer d.session.attach(cancel)()
	defer d.calls.Wait()
	defer cancel() // before the wait
	d.phase = d.machine.Phase()

	d.expiry = time.NewTimer(d.left())
	defer d.expiry.Stop()
	d.call(ctx, calls)
	for state := d.machine.State(); !state.Ended() && state != tcc.Parked; state = d.machine.State() {
		var out tcc.Output
		select {
		case result := <-d.results:
			out = d.machine.Step(result)
		case <-d.expiry.C:
			out = d.machine.Expire()
		case order := <-d.orders:
			if !d.obey(ctx, order) {
				return
			}
			continue
		case <-ctx.Done():
			return
		}
		calls, ok := d.append(ctx, out)
		if !ok {
			return
		}
		d.call(ctx, calls)
	}
	status := d.status()
	d.runner.metrics.settled(status.State, status.UpdatedAt.Sub(status.CreatedAt))
	if status.State == tcc.Parked {
		d.runner.config.Log.Error("transaction parked", "xid", d.key.XID, "problem", status.Problem)
	}
}

// append makes an output durable and returns the calls to make. If the store
// fails, what it holds is the truth: the machine is made anew from it.
func (d *drive) append(ctx context.Context, out tcc.Output) (calls []tcc.Call, ok bool) {
	if len(out.Records) == 0 {
		return out.Calls, true
	}
	before := d.status()
	t := d.after(before.Transaction)
	crashBeforeLog(before.State, t.State)
	err := d.runner.store.Append(ctx, d.session.lease.ID, t, out.Records)
	if err == nil {
		crashAfterLog(before.State, t.State)
		d.publish(t)
		return out.Calls, true
	}
	for attempt := 2; ; attempt++ {
		if errors.Is(err, ErrLost) {
			d.runner.config.Log.Warn("transaction is another coordinator's now", "xid", d.key.XID)
			return nil, false
		}
		if ctx.Err() == nil {
			d.runner.config.Log.Error("cannot log a phase, will try again", "xid", d.key.XID, "attempt", attempt, "err", err)
		}
		if sleep(ctx, d.runner.backoff.wait(attempt)) != nil {
			return nil, false
		}
		if out, err = d.load(ctx); err == nil {
			d.expiry.Reset(d.left()) // it may have been the expiry that was not logged
			return out.Calls, true
		}
	}
}

// left is what remains of the Try phase.
func (d *drive) left() time.Duration { return d.status().ExpiresAt.Sub(d.runner.now()) }

// after is the transaction as the machine has it now.
func (d *drive) after(t Transaction) Transaction {
	t.State, t.Problem, t.UpdatedAt = d.machine.State(), d.machine.Problem(), d.runner.now()
	if t.State.Ended() {
		t.Forced = forced(d.machine)
	}
	return t
}

func forced(m *tcc.Machine) (all []Forced) {
	spec := m.Spec()
	for i, branch := range m.Branches() {
		if branch.Forced {
			all = append(all, Forced{BranchID: spec.Branches[i].ID, State: branch.State, Reason: branch.LastError})
		}
	}
	return all
}

// call makes calls side by side. Those of an earlier phase are cut.
func (d *drive) call(ctx context.Context, calls []tcc.Call) {
	if phase := d.machine.Phase(); phase != d.phase {
		for _, cancel := range d.cut {
			cancel()
		}
		d.phase, d.cut = phase, nil
	}
	for _, call := range calls {
		spec := d.machine.Spec()
		branch := spec.Branches[call.Branch]
		policy := spec.PolicyOf(branch)
		wait := d.runner.backoff.waitBy(policy, call.Attempt)
		ctx, cancel := context.WithCancel(ctx)
		d.cut = append(d.cut, cancel)
		d.calls.Go(func() {
			defer cancel()
			result := d.attempt(ctx, branch, call, wait, policy.CallTimeout)
			select {
			case d.results <- result:
			case <-ctx.Done():
			}
		})
	}
}

// attempt makes one call after its wait. timeout 0 is the configured one.
func (d *drive) attempt(ctx context.Context, branch tcc.Branch, call tcc.Call, wait, timeout time.Duration) tcc.Result {
	if err := sleep(ctx, wait); err != nil {
		return tcc.Result{Call: call, Outcome: tcc.Failed, Problem: err.Error()}
	}
	bounded, cancel := context.WithTimeout(ctx, cmp.Or(timeout, d.runner.config.CallTimeout))
	defer cancel()
	began := d.runner.config.Clock()
	crashBeforeCall(call.Phase)
	outcome, problem := d.runner.participants.Call(bounded, d.key, branch, call.Phase)
	crashAfterCall(call.Phase)
	d.runner.metrics.called(call.Phase, outcome, d.runner.config.Clock().Sub(began))
	return tcc.Result{Call: call, Outcome: outcome, Problem: problem}
}

// now is the time to the microsecond, as it is stored.
func (r *Runner) now() time.Time { return r.config.Clock().UTC().Truncate(time.Microsecond) }
