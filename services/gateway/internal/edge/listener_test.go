package edge_test

import (
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/gateway/internal/edge"
)

// TestListenersThatTheSystemWouldRefuse asks the system too: it has to refuse
// the second where Check does, on Linux and if the machine has such addresses.
func TestListenersThatTheSystemWouldRefuse(t *testing.T) {
	for _, test := range []struct {
		first, second string // PORT is one that is free
		refused       bool
	}{
		{"127.0.0.1:PORT", "127.0.0.1:PORT", true},
		{"0.0.0.0:PORT", "127.0.0.1:PORT", true},
		{"127.0.0.1:PORT", "0.0.0.0:PORT", true},
		{"127.0.0.1:PORT", ":PORT", true},
		{"127.0.0.1:PORT", "[::]:PORT", true},
		{"0.0.0.0:PORT", "[::1]:PORT", true},
		{"[::1]:PORT", "[0:0:0:0:0:0:0:1]:PORT", true},
		{"[::ffff:127.0.0.1]:PORT", "127.0.0.1:PORT", true},
		{"127.0.0.1:PORT", "127.0.0.2:PORT", false},
		{"127.0.0.1:PORT", "[::1]:PORT", false},
		{"0.0.0.0:0", "127.0.0.1:0", false},
	} {
		t.Run(test.first+" "+test.second, func(t *testing.T) {
			port := freePort(t)
			first, second := strings.ReplaceAll(test.first, "PORT", port), strings.ReplaceAll(test.second, "PORT", port)
			c := &edge.Config{Listeners: []edge.Listener{{Name: "a", Address: first}, {Name: "b", Address: second}}}
			err := c.Check()
			if (err != nil) != test.refused || err != nil && !strings.Contains(err.Error(), `listener "b": address: `+second) {
				t.Errorf("Check says %v, want refused: %v", err, test.refused)
			}
			if refused, known := systemRefuses(first, second); known && refused != test.refused {
				t.Errorf("the system refuses: %v, want %v", refused, test.refused)
			}
		})
	}
}

// systemRefuses the second of two listeners; known: this is Linux, others let
// the second have what is its own, and the machine has such addresses.
func systemRefuses(first, second string) (refused, known bool) {
	if runtime.GOOS != "linux" {
		return false, false
	}
	one, err := net.Listen("tcp", first)
	if err != nil {
		return false, false
	}
	defer one.Close()
	other, err := net.Listen("tcp", second)
	if err != nil {
		return true, strings.Contains(err.Error(), "in use")
	}
	return false, other.Close() == nil
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
