package lifecycle

import (
	"testing"

	"github.com/backlot-video/backlot/kit/rpc"
)

// TestServiceOfTheProcessComesBeforeTheRegister has a service leave the process:
// from then on the register says where it is.
func TestServiceOfTheProcessComesBeforeTheRegister(t *testing.T) {
	l := &links{process: &process{}, local: map[string][]rpc.Endpoint{}}
	if found := l.resolve("shop"); len(found) != 0 {
		t.Errorf("before anything is known: %v", found)
	}
	l.remote.Store(&map[string][]rpc.Endpoint{"shop": {{Address: "10.0.0.1:1"}, {Address: "10.0.0.2:1"}}, "bank": {{Address: "10.0.0.3:1"}}})
	l.local["shop"] = []rpc.Endpoint{{Address: "unix:/shop"}}
	if found := l.resolve("shop"); len(found) != 1 || found[0].Address != "unix:/shop" {
		t.Errorf("a service of the process: %v", found)
	}
	if found := l.resolve("bank"); len(found) != 1 || found[0].Address != "10.0.0.3:1" {
		t.Errorf("a service of another process: %v", found)
	}
	delete(l.local, "shop")
	if found := l.resolve("shop"); len(found) != 2 {
		t.Errorf("once it has left: %v", found)
	}
}
