package ledger

import (
	"crypto/sha256"
	"encoding/binary"
)

// chainVersion opens every hashed text, so that no other hash of the house
// can be taken for one of these.
const chainVersion = "backlot/ledger/transfer/v1"

// Hash is the hash of a posted transfer that follows prev: SHA-256 over the
// version, prev's hash and the transfer's canonical bytes.
func Hash(prev Head, t Transfer) [sha256.Size]byte {
	buf := appendText(nil, chainVersion)
	buf = append(buf, prev.Hash[:]...)
	return sha256.Sum256(t.appendCanonical(buf))
}

// appendCanonical writes everything that makes the transfer what it is.
// Numbers are 8 bytes big endian, times microseconds of Unix time, texts have
// their length first. State is left out: only posted transfers are hashed.
func (t Transfer) appendCanonical(buf []byte) []byte {
	buf = binary.BigEndian.AppendUint64(buf, uint64(t.Sequence))
	for _, text := range []string{
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
