//go:build unix

package lifecycle_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/lifecycle"
	"github.com/backlot-video/backlot/kit/testport"
)

// replaceablePart can be replaced.
type replaceablePart struct{ *part }

func (replaceablePart) Replaceable() {}

// greeter accepts on an address, says its name, and keeps the connection until
// its client goes.
func greeter(name, address string, ready chan<- error) *part {
	return &part{name: "gateway", diary: &diary{}, run: func(ctx context.Context, host *lifecycle.Host) error {
		listener, err := host.Listen(ctx, address, "gateway.listen")
		if err != nil {
			ready <- err
			return err
		}
		host.Ready()
		ready <- nil
		conns := make(chan net.Conn)
		go func() {
			defer close(conns)
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				if _, err := conn.Write([]byte(name + "\n")); err == nil {
					conns <- conn
				}
			}
		}()
		var open []net.Conn
		for {
			select {
			case conn := <-conns:
				open = append(open, conn)
				continue
			case <-ctx.Done():
			}
			break
		}
		if err := listener.Close(); err != nil {
			return err
		}
		if got := host.DrainTime(ctx, time.Second); errors.Is(context.Cause(ctx), lifecycle.ErrReplaced) != (got == 7*time.Minute) {
			return errors.New("drain time is " + got.String())
		}
		for _, conn := range open { // a drain: until the clients go
			_, _ = conn.Read(make([]byte, 1))
			_ = conn.Close()
		}
		return nil
	}}
}

func TestASuccessorTakesOverWhileConnectionsGoOn(t *testing.T) {
	address := testport.Address(t)
	dir, err := os.MkdirTemp("", "successor") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	args := []string{
		"--data-dir", dir, "--gateway.rpc-listen", "127.0.0.1:0", "--gateway.kitex-listen", "", "--ops-listen", "127.0.0.1:0",
		"--takeover", "--takeover-drain", "7m",
	}
	var before chan error // of the process that is replaced
	for _, name := range []string{"first", "second", "third"} {
		ready, ended := make(chan error, 1), make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			_, err := run(ctx, t, args, replaceablePart{greeter(name, address, ready)})
			ended <- err
		}()
		select {
		case err := <-ready:
			if err != nil {
				t.Fatal(err)
			}
		case err := <-ended:
			t.Fatal(name, err)
		}
		// Nothing is refused while both accept, and at last only the successor does.
		greet(t, address, name)
		if before != nil {
			if err := <-before; err != nil {
				t.Errorf("the one that %s replaced ended with %v", name, err)
			}
		}
		if name == "third" { // it is stopped, not replaced
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			return
		}
		before = ended
		awaitOffer(t, filepath.Join(dir, "run", "takeover.sock"))
	}
}

// awaitOffer connects to a process's offer, and leaves it at that.
func awaitOffer(t *testing.T, path string) {
	t.Helper()
	for t.Context().Err() == nil {
		if conn, err := net.Dial("unix", path); err == nil {
			_ = conn.Close()
			return
		}
		runtime.Gosched()
	}
}

// greet connects until a process of this name answers.
func greet(t *testing.T, address, name string) {
	t.Helper()
	for said := ""; said != name+"\n"; {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if said, err = bufio.NewReader(conn).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		_ = conn.Close()
	}
}
