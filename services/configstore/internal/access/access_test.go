package access_test

import (
	"testing"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/services/configstore/internal/access"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

func TestGrantsSayWhoMayDoWhat(t *testing.T) {
	alice := identity.Principal{Kind: identity.Operator, ID: "alice"}
	bob := identity.Principal{Kind: identity.Operator, ID: "bob"}
	gateway := identity.Principal{Kind: identity.Service, ID: "gateway"}
	grants := access.Grants{
		{Subjects: []string{"operator/*"}, Verbs: []access.Verb{access.Read}},
		{Subjects: []string{"operator/alice"}, Verbs: []access.Verb{access.Write}, Namespaces: []string{"shop"}, Kinds: []string{"Route"}},
		{Subjects: []string{"operator/bob"}, Verbs: []access.Verb{access.Draft, access.Cluster}, Namespaces: []string{"default"}},
	}
	for _, c := range []struct {
		who       identity.Principal
		verb      access.Verb
		kind      string
		namespace string
		want      bool
	}{
		{alice, access.Read, "Ruleset", "any", true},
		{alice, access.Write, "Route", "shop", true},
		{alice, access.Draft, "Route", "shop", true},
		{alice, access.Review, "Route", "shop", false},
		{alice, access.Write, "Route", "", false},
		{alice, access.Write, "Cluster", "shop", false},
		{alice, access.Cluster, "", "", false},
		{bob, access.Draft, "Route", "", true},
		{bob, access.Write, "Route", "", false},
		{bob, access.Cluster, "", "", true},
		{gateway, access.Write, "Cluster", "shop", true},
	} {
		if got := grants.May(c.who, c.verb, object.Key{Kind: c.kind, Namespace: c.namespace}); got != c.want {
			t.Errorf("%s %v %s/%s: %v", c.who.ID, c.verb, c.namespace, c.kind, got)
		}
	}
	if !(access.Grants{}).May(alice, access.Write, object.Key{Kind: "Route"}) {
		t.Error("without grants nothing is allowed")
	}
	if !grants.LocksOut(alice, "main") || (access.Grants{{Subjects: []string{"operator/alice"}, Verbs: []access.Verb{access.Write}}}).LocksOut(alice, "main") {
		t.Error("who is locked out is not found")
	}
}
