package testport_test

import (
	"net"
	"strconv"
	"testing"

	"github.com/backlot-video/backlot/kit/testport"
)

func TestAddressIsFreeAndNotEphemeral(t *testing.T) {
	for range 20 {
		address := testport.Address(t)
		host, port, err := net.SplitHostPort(address)
		if err != nil || host != "127.0.0.1" {
			t.Fatal(address, err)
		}
		if n, err := strconv.Atoi(port); err != nil || n < 20_000 || n >= 30_000 {
			t.Errorf("port %s", port)
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
	}
}
