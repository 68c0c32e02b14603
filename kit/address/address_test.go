package address_test

import (
	"net"
	"runtime"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/kit/address"
)

// TestOverlapIsWhatTheSystemRefuses asks the system too, on Linux and if the
// machine has such addresses.
func TestOverlapIsWhatTheSystemRefuses(t *testing.T) {
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
		{"localhost", "localhost", false},
	} {
		t.Run(test.first+" "+test.second, func(t *testing.T) {
			port := freePort(t)
			first, second := strings.ReplaceAll(test.first, "PORT", port), strings.ReplaceAll(test.second, "PORT", port)
			if address.Overlap(first, second) != test.refused || address.Overlap(second, first) != test.refused {
				t.Errorf("Overlap is not %v", test.refused)
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
