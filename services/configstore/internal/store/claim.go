package store

import (
	"context"
	"fmt"

	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

// claims makes sure that nobody else has what a put claims for itself. Of two
// puts of one release the later is at fault.
func (r *referee) claims(ctx context.Context, c *change) error {
	claim, has := object.ClaimOf(c.message)
	if !has {
		return nil
	}
	users, err := r.usersOf(ctx, c.key.Kind, object.Prefix(c.key.Tenant, c.key.Kind, ""))
	if err != nil {
		return fmt.Errorf("look for what %s claims: %w", c.key, err)
	}
	against := func(other user) {
		if other.claim.Meets(claim) {
			r.addf(c.path+".spec."+claim.Field, "%s is taken by %s (%s): give one of them another",
				claim.Address, other.key, other.claim.Address)
		}
	}
	for _, other := range users {
		if _, changed := r.release[other.key]; !changed {
			against(other)
		}
	}
	for _, other := range r.claimed {
		if other.key.Tenant == c.key.Tenant && other.key.Kind == c.key.Kind {
			against(other)
		}
	}
	r.claimed = append(r.claimed, user{key: c.key, claim: claim})
	return nil
}
