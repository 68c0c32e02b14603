package rules

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

// TestPanicsReachTheCaller has each part of the pipeline fail in the middle of
// a source: the caller sees it, and no goroutine is left.
func TestPanicsReachTheCaller(t *testing.T) {
	for name, fail := range map[string]func(c *compiler){
		"reading":  func(c *compiler) { c.reader = nil },
		"checking": func(c *compiler) { c.program = nil },
		"building": func(c *compiler) { c.builder = nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // fails where goroutines are left
				var source strings.Builder
				for i := range 1000 {
					fmt.Fprintf(&source, "rule r%d when card == \"v%d\" then deny\n", i, i)
				}
				c := newCompiler(newProgram("p", source.String(), orderSchema(t), nil))
				fail(c)
				defer func() {
					if recover() == nil {
						t.Error("no panic")
					}
				}()
				c.readPiped()
			})
		})
	}
}
