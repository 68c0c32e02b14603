package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/handover"
)

// Replaceable is a Service whose process can be replaced while it runs: a new
// one, started on the same data folder with --takeover, gets its sockets and
// serves; only then does the old one stop, which takes as long as its clients
// need, up to --takeover-drain. SIGUSR2 has the process start that new one itself. Such a service keeps nothing in its folder
// that two processes would spoil, and needs no broker. Host.Listen opens the
// sockets that it hands on; the cause of the end of Run's context is
// ErrReplaced.
type Replaceable interface{ Replaceable() }

// ErrReplaced is why a service ends whose process has been replaced.
var ErrReplaced = errors.New("another process serves in this one's place")

// replaceable tells whether a process of these services can be replaced.
func replaceable(services []Service) bool {
	if len(services) != 1 {
		return false
	}
	_, is := services[0].(Replaceable)
	return is
}

// succession is how a process that can be replaced knows what to hand on.
type succession struct {
	enabled bool // one can be replaced here
	take    bool
	drain   time.Duration
	limit   time.Duration // of a successor's start
	socket  string

	inherited *handover.Inheritance // until the process serves
	offer     *handover.Offer
	upgrade   upgrade

	mu    sync.Mutex
	files map[string]filer // by name: an address, or a lock's path
}

// filer is a socket or a file that can be copied.
type filer interface{ File() (*os.File, error) }

func (s *succession) register(set *config.Set) {
	s.enabled = true
	set.Bool(&s.take, "takeover", false, "take over the sockets of the process that runs on the same data folder, which then drains and ends; none runs: start as usual")
	set.Duration(&s.drain, "takeover-drain", time.Hour, "longest `time` that connections may go on in a process that has been replaced")
	set.Duration(&s.limit, "takeover-timeout", time.Minute, "longest `time` that a successor may take until it serves; one that SIGUSR2 started is killed then, and this process goes on")
}

// begin asks the predecessor, if there is to be one.
func (s *succession) begin(ctx context.Context, socket string) error {
	s.socket = socket
	if s.enabled {
		if err := s.upgrade.listen(); err != nil {
			return fmt.Errorf("find this program: %w", err)
		}
	}
	if !s.take {
		return nil
	}
	inherited, err := handover.Take(ctx, socket)
	if errors.Is(err, handover.ErrNobody) {
		return nil
	}
	s.inherited = inherited
	return err
}

// serving tells the predecessor, and offers to a successor in turn.
func (s *succession) serving(ctx context.Context) (replaced <-chan struct{}, err error) {
	if s.inherited != nil {
		inherited := s.inherited
		s.inherited = nil
		if err := inherited.Serving(); err != nil {
			return nil, fmt.Errorf("take over: %w", err)
		}
	}
	if !s.enabled {
		return nil, nil
	}
	s.offer, err = handover.NewOffer(ctx, s.socket, s.limit, s.copies)
	if errors.Is(err, handover.ErrUnsupported) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s.upgrade.limit, s.upgrade.drop = s.limit, s.offer.Drop
	return s.offer.Taken(), nil
}

// end withdraws the offer.
func (s *succession) end() error {
	var faults []error
	if s.inherited != nil {
		faults = append(faults, s.inherited.Close())
	}
	if s.offer != nil {
		faults = append(faults, s.offer.Close())
	}
	return errors.Join(faults...)
}

// keep remembers what is to be handed on.
func (s *succession) keep(name string, f any) {
	if f, able := f.(filer); able && s.enabled {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.files == nil {
			s.files = map[string]filer{}
		}
		s.files[name] = f
	}
}

// copies are files of all that is open.
func (s *succession) copies() (map[string]*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[string]*os.File{}
	for name, f := range s.files {
		opened, err := f.File()
		if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) {
			delete(s.files, name)
			continue
		}
		if err != nil {
			return all, err
		}
		all[name] = opened
	}
	return all, nil
}

// listen opens an address or takes the socket that was inherited for it.
func (s *succession) listen(ctx context.Context, address, setting string) (listener net.Listener, err error) {
	if s.inherited != nil {
		listener, err = s.inherited.Listener(address)
	}
	if listener == nil && err == nil {
		listener, err = listen(ctx, address, setting)
	}
	if err != nil {
		return nil, err
	}
	if unix, is := listener.(*net.UnixListener); is && s.enabled {
		unix.SetUnlinkOnClose(false) // a successor may have it
	}
	s.keep(address, listener)
	return listener, nil
}

// lock locks a file or takes the lock that was inherited. The lock ends when
// the last process that has it closes it.
func (s *succession) lock(path string) (unlock func() error, err error) {
	var held *os.File
	if s.inherited != nil {
		held = s.inherited.File(path)
	}
	if held == nil {
		if held, err = lockFile(path); err != nil {
			return nil, err
		}
	}
	s.keep(path, lock{held})
	return held.Close, nil
}

// lock is a file that holds a lock.
type lock struct{ held *os.File }

// File copies it.
func (l lock) File() (*os.File, error) { return duplicate(l.held) }
