package lifecycle

import (
	"slices"
	"testing"

	"github.com/backlot-video/backlot/kit/rpc"
)

func TestMembersOfTheConfigstoreAreAllUsed(t *testing.T) {
	given := rpc.Endpoint{Address: "a:1", TLS: true}
	at := func(address string) rpc.Endpoint {
		return rpc.Endpoint{Address: address, KitexAddress: "k:1", TLS: true}
	}
	for name, c := range map[string]struct{ registered, want []rpc.Endpoint }{
		"none known":              {nil, []rpc.Endpoint{given}},
		"one, by another address": {[]rpc.Endpoint{at("10.0.0.1:1")}, []rpc.Endpoint{given}},
		"three":                   {[]rpc.Endpoint{at("a:1"), at("b:1"), at("c:1")}, []rpc.Endpoint{given, {Address: "b:1", TLS: true}, {Address: "c:1", TLS: true}}},
	} {
		if got := members(given, c.registered); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
