package secret

import (
	"crypto/rand"
	"crypto/sha256"
)

// keptKeys is how many keys of session tickets stay good: with a rotation
// every 12 hours a ticket can be used for a day and a half.
const keptKeys = 3

// tickets are the secrets of session tickets, the newest first.
type tickets struct{ secrets [][32]byte }

// rotate makes a new secret. It fails never: the system's randomness does not.
func (t *tickets) rotate() {
	var fresh [32]byte
	_, _ = rand.Read(fresh[:])
	t.secrets = append([][32]byte{fresh}, t.secrets[:min(len(t.secrets), keptKeys-1)]...)
}

// keys are those of a listener. They depend on its authorities: a session that
// began under others has to be begun anew, so that who is no longer trusted
// does not come in by a ticket.
func (t *tickets) keys(listener string, authorities []byte) [][32]byte {
	keys := make([][32]byte, 0, len(t.secrets))
	for _, secret := range t.secrets {
		sum := sha256.Sum256(authorities)
		digest := sha256.New()
		digest.Write(secret[:])
		digest.Write(sum[:])
		digest.Write([]byte(listener))
		keys = append(keys, [32]byte(digest.Sum(nil)))
	}
	return keys
}
