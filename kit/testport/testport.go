// Package testport finds addresses on loopback for servers under test that
// have to be known before the server listens, or again after it is restarted.
// It is not for servers that can listen on port 0 and be asked.
package testport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// Ports lie below those that systems give to outgoing connections (from
// 32,768 on Linux): one of these could take the port of a server before it
// listens, or between two of its lives.
const (
	firstPort = 20_000
	ports     = 10_000
)

// TB is the part of testing.TB that is needed, so that programs that are no
// tests can give their own.
type TB interface {
	Helper()
	Fatal(args ...any)
}

// Address is host:port on 127.0.0.1 whose port was free a moment ago. It ends
// the test if none is found.
func Address(t TB) string {
	t.Helper()
	address, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// given are the ports that this process has been given: a server may not have
// listened yet when the next address is asked for.
var given sync.Map

// Find is Address for what is no test.
func Find() (string, error) {
	for range 100 {
		port := firstPort + rand.IntN(ports)
		if _, taken := given.LoadOrStore(port, true); taken {
			continue
		}
		address := fmt.Sprintf("127.0.0.1:%d", port)
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		return address, listener.Close()
	}
	return "", fmt.Errorf("no port from %d to %d is free", firstPort, firstPort+ports-1)
}
