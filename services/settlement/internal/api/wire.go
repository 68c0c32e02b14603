package api

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
)

// What is below writes the contract's messages without making them: each
// transfer is told of, and messages for it cost more than booking it. The bytes
// are those of proto.Marshal.

// appendTransfersPosted appends a settlement.v1.TransfersPosted.
func appendTransfersPosted(buf []byte, transfers []*ledger.Transfer) []byte {
	buf = slices.Grow(buf, usualTransfer*len(transfers))
	for _, t := range transfers {
		buf = appendPostedTransfer(buf, t)
	}
	return buf
}

// usualTransfer is how many bytes a transfer takes in TransfersPosted, about.
const usualTransfer = 384

// appendPostedTransfer appends one of the transfers of a TransfersPosted.
func appendPostedTransfer(buf []byte, t *ledger.Transfer) []byte {
	begin := len(buf)
	return enclose(appendTransfer(buf, t), begin, 1)
}

// appendTransfer appends the fields of what transferMessage makes.
func appendTransfer(buf []byte, t *ledger.Transfer) []byte {
	buf = appendText(buf, 1, t.ID)
	buf = appendText(buf, 2, string(t.Type))
	buf = appendNumber(buf, 3, int64(t.State))
	for i := range t.Postings {
		begin := len(buf)
		buf = enclose(appendPosting(buf, &t.Postings[i]), begin, 4)
	}
	buf = appendText(buf, 5, t.Reference)
	buf = appendText(buf, 6, t.XID)
	buf = appendNumber(buf, 7, t.Sequence)
	if t.State == ledger.Posted {
		buf = protowire.AppendTag(buf, 8, protowire.BytesType)
		buf = protowire.AppendBytes(buf, t.Hash[:])
	}
	buf = appendNumber(buf, 9, micros(t.CreatedAt))
	buf = appendNumber(buf, 10, micros(t.EndedAt))
	buf = appendText(buf, 11, t.Currency)
	buf = appendText(buf, 12, t.SplitPolicy)
	buf = appendText(buf, 13, t.IdempotencyKey)
	buf = appendText(buf, 14, t.ChainID)
	return appendNumber(buf, 15, micros(t.ExpiresAt))
}

func appendPosting(buf []byte, p *ledger.Posting) []byte {
	buf = appendText(buf, 1, p.AccountID)
	buf = appendNumber(buf, 2, int64(p.Side))
	begin := len(buf)
	buf = appendNumber(buf, 1, p.Amount.Minor)
	buf = enclose(appendText(buf, 2, p.Amount.Currency), begin, 3)
	buf = appendText(buf, 4, string(p.Purpose))
	return appendText(buf, 5, p.OwnerID)
}

// enclose makes a field of what buf has from begin on.
func enclose(buf []byte, begin int, field protowire.Number) []byte {
	var space [2 * 10]byte
	size := len(buf) - begin
	head := protowire.AppendVarint(protowire.AppendTag(space[:0], field, protowire.BytesType), uint64(size))
	buf = append(buf, head...)
	copy(buf[begin+len(head):], buf[begin:begin+size])
	copy(buf[begin:], head)
	return buf
}

// appendText appends a string, unless it is empty, as proto3 has it.
func appendText(buf []byte, field protowire.Number, text string) []byte {
	if text == "" {
		return buf
	}
	return protowire.AppendString(protowire.AppendTag(buf, field, protowire.BytesType), text)
}

// appendNumber appends an int64 or an enum, unless it is 0.
func appendNumber(buf []byte, field protowire.Number, n int64) []byte {
	if n == 0 {
		return buf
	}
	return protowire.AppendVarint(protowire.AppendTag(buf, field, protowire.VarintType), uint64(n))
}
