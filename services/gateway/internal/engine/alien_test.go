package engine_test

import (
	"io"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/services/gateway/internal/engine"
)

func TestOtherProtocolsGetNoAnswer(t *testing.T) {
	_, address := serve(t, engine.Config{Handler: handler(echo)})
	for sent, answered := range map[string]bool{
		"INVALID CONNECTION PREFACE\r\n\r\n":     false,
		"PRI * XTTP/2.0\r\n\r\nSM\r\n\r\n":       false,
		"GET / http/1.1\r\nHost: x\r\n\r\n":      true,
		"GET / HTTP/x.1\r\nHost: x\r\n\r\n":      true,
		"GET /\r\nHost: x\r\n\r\n":               true,
		"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n":   true,
		"GET / HTTP/1.1 junk\r\nHost: x\r\n\r\n": true,
		"G@T / HTTP/1.1\r\nHost: x\r\n\r\n":      true,
	} {
		c := dial(t, address)
		c.send(sent)
		got, _ := io.ReadAll(c.r)
		if strings.HasPrefix(string(got), "HTTP/1.1 400 ") != answered || !answered && len(got) > 0 {
			t.Errorf("%q: got %q", sent, got)
		}
	}
}
