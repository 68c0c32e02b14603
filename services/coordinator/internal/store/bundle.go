package store

// bundleFacts and bundleBytes are about how many facts, and how many bytes of
// them, share a row of the outbox: the relay reads many rows at a time.
const (
	bundleFacts = 32
	bundleBytes = 64 << 10
)

// bundler numbers the bundles of a batch's facts. A bundle is of one tenant;
// its row has the least of its facts' ids.
type bundler struct {
	number       int32
	tenant       string
	facts, bytes int // of the bundle
}

// next is the number of the bundle that the next fact goes into.
func (b *bundler) next(tenant string, fact Fact) int32 {
	if b.facts == bundleFacts || b.bytes >= bundleBytes || b.tenant != tenant {
		*b = bundler{number: b.number + 1, tenant: tenant}
	}
	b.facts++
	b.bytes += len(fact.Envelope)
	return b.number
}
