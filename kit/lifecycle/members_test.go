package lifecycle

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/kit/rpc"
)

func TestMembersOfTheConfigstoreAreAllUsed(t *testing.T) {
	given := func(addresses ...string) (all []rpc.Endpoint) {
		for _, address := range addresses {
			all = append(all, rpc.Endpoint{Address: address, TLS: true})
		}
		return all
	}
	at := func(addresses ...string) (all []rpc.Endpoint) {
		for _, address := range addresses {
			all = append(all, rpc.Endpoint{Address: address, KitexAddress: "k:1", TLS: true})
		}
		return all
	}
	for name, c := range map[string]struct{ given, registered, want []rpc.Endpoint }{
		"none known":              {given("a:1"), nil, given("a:1")},
		"one, by another address": {given("a:1"), at("10.0.0.1:1"), given("a:1")},
		"three":                   {given("a:1"), at("a:1", "b:1", "c:1"), given("a:1", "b:1", "c:1")},
		"two given, none known":   {given("a:1", "b:1"), nil, given("a:1", "b:1")},
		"two given, three known":  {given("c:1", "a:1"), at("a:1", "b:1", "c:1"), given("c:1", "a:1", "b:1")},
	} {
		if got := members(c.given, c.registered); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestAddressesOfTheConfigstore(t *testing.T) {
	var many []string
	for i := range maxAddresses + 1 {
		many = append(many, fmt.Sprintf("a:%d", i))
	}
	for text, want := range map[string]struct {
		all  []string
		says string
	}{
		"":                       {},
		"a:1":                    {[]string{"a:1"}, ""},
		" a:1, [::1]:2 ,unix:/s": {[]string{"a:1", "[::1]:2", "unix:/s"}, ""},
		"a":                      {nil, `"a" is neither`},
		"a:1,":                   {nil, `"" is neither`},
		"unix:":                  {nil, `"unix:" is neither`},
		"a:":                     {nil, `"a:" is neither`},
		"a:1,a:1":                {nil, "given twice"},
		strings.Join(many, ","):  {nil, "17 addresses, at most 16"},
	} {
		all, err := parseAddresses(text)
		if !slices.Equal(all, want.all) || (err != nil) != (want.says != "") || err != nil && !strings.Contains(err.Error(), want.says) {
			t.Errorf("%q: %v, %v", text, all, err)
		}
	}
}
