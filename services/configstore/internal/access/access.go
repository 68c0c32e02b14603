// Package access says which operators may do what, by the grants of their
// tenant. It does no I/O; who asks reads the grants.
package access

import (
	"slices"

	"github.com/backlot-video/backlot/kit/identity"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

// Kind is that of grants.
const Kind = "Grant"

// Verb is what is to be done.
type Verb = configstorev1.Grant_Verb

// The verbs.
const (
	Read    = configstorev1.Grant_VERB_READ
	Write   = configstorev1.Grant_VERB_WRITE
	Draft   = configstorev1.Grant_VERB_DRAFT
	Review  = configstorev1.Grant_VERB_REVIEW
	Cluster = configstorev1.Grant_VERB_CLUSTER
)

// Grants are all of a tenant's.
type Grants []*configstorev1.Grant

// anyOperator is the subject that stands for all.
const anyOperator = "operator/*"

// May tells whether a principal may do something with an object. Where there
// are no grants, and for services, everything is allowed.
func (g Grants) May(p identity.Principal, verb Verb, key object.Key) bool {
	if len(g) == 0 || p.Kind != identity.Operator {
		return true
	}
	key = key.Normal()
	return slices.ContainsFunc(g, func(one *configstorev1.Grant) bool {
		return gives(one.GetVerbs(), verb) && isSubject(one.GetSubjects(), p) &&
			(verb == Cluster || fits(one.GetNamespaces(), key.Namespace) && fits(one.GetKinds(), key.Kind))
	})
}

func gives(verbs []Verb, verb Verb) bool {
	return slices.Contains(verbs, verb) || verb == Draft && slices.Contains(verbs, Write)
}

func isSubject(subjects []string, p identity.Principal) bool {
	return slices.Contains(subjects, anyOperator) || slices.Contains(subjects, "operator/"+p.ID)
}

func fits(allowed []string, value string) bool {
	return len(allowed) == 0 || slices.Contains(allowed, value)
}

// LocksOut tells whether a principal, who may change grants now, could not
// any more under these.
func (g Grants) LocksOut(p identity.Principal, tenant string) bool {
	return !g.May(p, Write, object.Key{Tenant: tenant, Kind: Kind})
}
