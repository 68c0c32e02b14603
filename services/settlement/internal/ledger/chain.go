package ledger

import (
	"crypto/sha256"
	"encoding/binary"
)

// A version opens every hashed text, so that no other hash of the house can be
// taken for one of these. The second is of transfers that were linked or had a
// time to end, which the first does not know.
const (
	chainVersion       = "backlot/ledger/transfer/v1"
	linkedChainVersion = "backlot/ledger/transfer/v2"
)

// Hash is the hash of a posted transfer that follows prev: SHA-256 over the
// version, prev's hash and the transfer's canonical bytes.
func Hash(prev Head, t Transfer) [sha256.Size]byte {
	sum, _ := hashInto(make([]byte, 0, 512), prev, &t)
	return sum
}

// hashInto is Hash with memory of the caller's, which it gives back.
func hashInto(buf []byte, prev Head, t *Transfer) (sum [sha256.Size]byte, used []byte) {
	version := chainVersion
	linked := t.ChainID != "" || !t.ExpiresAt.IsZero()
	if linked {
		version = linkedChainVersion
	}
	buf = appendText(buf[:0], version)
	buf = append(buf, prev.Hash[:]...)
	buf = t.appendCanonical(buf)
	if linked {
		buf = appendText(buf, t.ChainID)
		expires := int64(0)
		if !t.ExpiresAt.IsZero() {
			expires = t.ExpiresAt.UnixMicro()
		}
		buf = binary.BigEndian.AppendUint64(buf, uint64(expires))
	}
	return sha256.Sum256(buf), buf
}

// appendCanonical writes everything that makes the transfer what it is.
// Numbers are 8 bytes big endian, times microseconds of Unix time, texts have
// their length first. State is left out: only posted transfers are hashed.
func (t *Transfer) appendCanonical(buf []byte) []byte {
	buf = binary.BigEndian.AppendUint64(buf, uint64(t.Sequence))
	for _, text := range [...]string{
		t.TenantID, t.Currency, t.ID, string(t.Type), t.Reference, t.XID, t.IdempotencyKey, t.SplitPolicy,
	} {
		buf = appendText(buf, text)
	}
	buf = binary.BigEndian.AppendUint64(buf, uint64(t.CreatedAt.UnixMicro()))
	buf = binary.BigEndian.AppendUint64(buf, uint64(t.EndedAt.UnixMicro()))
	buf = binary.BigEndian.AppendUint64(buf, uint64(len(t.Postings)))
	for _, posting := range t.Postings {
		buf = appendText(buf, posting.AccountID)
		buf = append(buf, byte(posting.Side))
		buf = binary.BigEndian.AppendUint64(buf, uint64(posting.Amount.Minor))
	}
	return buf
}

func appendText(buf []byte, text string) []byte {
	buf = binary.BigEndian.AppendUint64(buf, uint64(len(text)))
	return append(buf, text...)
}
