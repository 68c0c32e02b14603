// Package handover passes open sockets and locks from a process to the one
// that is started in its place, so that no connection is refused between the
// two.
//
//	handover.go  Offer, the predecessor's side; Take, the successor's
//	files_*.go   descriptors over a unix socket (SCM_RIGHTS)
//
// The predecessor offers on a unix socket. A successor that connects gets
// copies of its files, by name, and starts with them; both then share each
// socket's queue of connections. When the successor serves it says so, and
// only then is the predecessor told that it has been replaced. A successor
// that dies before, or takes too long, leaves everything as it was. The package knows nothing of
// what the files are; who may connect is the matter of the socket's folder.
package handover

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	// maxFiles is what one message can carry.
	maxFiles = 250
	// maxNames bounds the names of all files, in bytes.
	maxNames = 64 << 10
	// answerTime is the most that a side waits for what the other sends at once.
	answerTime = 5 * time.Second
)

// serving is what a successor says when it does.
const serving = "serving\n"

var (
	// ErrNobody is that no process offers anything.
	ErrNobody = errors.New("no process offers its sockets")
	// ErrUnsupported is that the system cannot pass files.
	ErrUnsupported = errors.New("this system cannot pass sockets from one process to another")
	errTooMany     = fmt.Errorf("more than %d files, or names of more than %d bytes", maxFiles, maxNames)
	errMalformed   = errors.New("the other process sent something else")
)

// Offer is the predecessor's side.
type Offer struct {
	listener *net.UnixListener
	limit    time.Duration
	files    func() (map[string]*os.File, error)
	taken    chan struct{}
	workers  sync.WaitGroup
	cancel   context.CancelFunc

	mu        sync.Mutex
	successor *net.UnixConn // which is not known to serve
}

// NewOffer listens on the socket path, which replaces one that is there. files
// gives copies of what is open by name, which are closed once they are sent.
// limit is the most that a successor may take until it serves. Close ends it.
func NewOffer(ctx context.Context, path string, limit time.Duration, files func() (map[string]*os.File, error)) (*Offer, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("offer sockets: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	o := &Offer{listener: listener.(*net.UnixListener), limit: limit, files: files, taken: make(chan struct{}), cancel: cancel}
	o.listener.SetUnlinkOnClose(false) // the successor has one of that name by then
	o.workers.Go(func() { o.serve(ctx) })
	return o, nil
}

// Taken is closed when a successor serves.
func (o *Offer) Taken() <-chan struct{} { return o.taken }

// Drop turns away the successor that has the files but does not serve yet, if
// there is one: whatever it says from now on is not heard. It tells whether
// there is still no successor that serves.
func (o *Offer) Drop() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.successor != nil {
		_ = o.successor.Close()
		o.successor = nil
	}
	select {
	case <-o.taken:
		return false
	default:
		return true
	}
}

// Close ends the offer. A successor that has not said that it serves goes on
// without this process being told.
func (o *Offer) Close() error {
	o.cancel()
	err := o.listener.Close()
	o.workers.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// serve takes successors one after the other, until one of them serves.
func (o *Offer) serve(ctx context.Context) {
	for ctx.Err() == nil {
		conn, err := o.listener.AcceptUnix()
		if err != nil {
			return
		}
		o.mu.Lock()
		o.successor = conn
		o.mu.Unlock()
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		err = o.give(conn)
		stop()
		_ = conn.Close()
		if o.replaced(err) {
			_ = o.listener.Close()
			return
		}
	}
}

// replaced ends the giving to a successor, and tells whether it serves and has
// not been dropped.
func (o *Offer) replaced(err error) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil || o.successor == nil {
		o.successor = nil
		return false
	}
	o.successor = nil
	close(o.taken)
	return true
}

// give sends the files and waits until the successor serves.
func (o *Offer) give(conn *net.UnixConn) error {
	files, err := o.files()
	defer func() {
		for _, f := range files {
			_ = f.Close()
		}
	}()
	if err != nil {
		return err
	}
	names, list := make([]string, 0, len(files)), make([]*os.File, 0, len(files))
	for name, f := range files {
		names, list = append(names, name), append(list, f)
	}
	message, err := json.Marshal(names)
	if err != nil {
		return err
	}
	if len(list) > maxFiles || len(message) >= maxNames {
		return errTooMany
	}
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	if err := send(conn, append(message, '\n'), list); err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Now().Add(o.limit)); err != nil {
		return err
	}
	said := make([]byte, len(serving))
	if _, err := io.ReadFull(conn, said); err != nil {
		return err
	}
	if string(said) != serving {
		return errMalformed
	}
	return nil
}

// Inheritance is what a successor has got. It belongs to one goroutine until
// the process serves.
type Inheritance struct {
	conn  net.Conn
	files map[string]*os.File
}

// Take asks the process that offers on the socket path. ErrNobody: there is
// none.
func Take(ctx context.Context, path string) (*Inheritance, error) {
	if err := supported(); err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrNobody, err)
	}
	i := &Inheritance{conn: conn, files: map[string]*os.File{}}
	if err := i.receive(conn.(*net.UnixConn)); err != nil {
		return nil, errors.Join(fmt.Errorf("take over: %w", err), i.Close())
	}
	return i, nil
}

func (i *Inheritance) receive(conn *net.UnixConn) error {
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return err
	}
	first, files, err := receive(conn)
	drop := func() {
		for _, f := range files {
			_ = f.Close()
		}
	}
	if err != nil {
		drop()
		return err
	}
	message, err := rest(conn, first)
	var names []string
	if err == nil {
		err = json.Unmarshal(message, &names)
	}
	if err != nil || len(names) != len(files) {
		drop()
		return errors.Join(errMalformed, err)
	}
	for at, name := range names {
		i.files[name] = files[at]
	}
	return conn.SetDeadline(time.Time{})
}

// rest reads a line whose beginning is there.
func rest(conn net.Conn, first []byte) ([]byte, error) {
	if n := len(first); n > 0 && first[n-1] == '\n' {
		return first, nil
	}
	more, err := bufio.NewReader(io.LimitReader(conn, maxNames)).ReadBytes('\n')
	return append(first, more...), err
}

// File gives a file away; nil where there is none of that name.
func (i *Inheritance) File(name string) *os.File {
	f := i.files[name]
	delete(i.files, name)
	return f
}

// Listener gives a listening socket away; nil where there is none of that name.
func (i *Inheritance) Listener(name string) (net.Listener, error) {
	f := i.File(name)
	if f == nil {
		return nil, nil //nolint:nilnil // as documented
	}
	listener, err := net.FileListener(f)
	return listener, errors.Join(err, f.Close())
}

// Serving tells the predecessor that it has been replaced, and closes what
// nobody asked for.
func (i *Inheritance) Serving() error {
	_, err := i.conn.Write([]byte(serving))
	return errors.Join(err, i.Close())
}

// Close gives up; the predecessor goes on as before.
func (i *Inheritance) Close() error {
	for _, f := range i.files {
		_ = f.Close()
	}
	clear(i.files)
	return i.conn.Close()
}
