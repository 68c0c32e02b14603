package h1

import (
	"strconv"

	"github.com/backlot-video/backlot/services/gateway/internal/exchange"
)

// ChunkEnd follows the data of each chunk.
const ChunkEnd = "\r\n"

// AppendChunk appends what goes before the data of a chunk of n bytes, at
// least 1. ChunkEnd goes after them.
func AppendChunk(to []byte, n int) []byte {
	to = strconv.AppendInt(to, int64(n), 16)
	return append(to, "\r\n"...)
}

// AppendLastChunk appends the end of a chunked body, with trailers if there
// are any.
func AppendLastChunk(to []byte, trailers exchange.Fields) []byte {
	to = append(to, "0\r\n"...)
	to = appendFields(to, trailers)
	return append(to, "\r\n"...)
}
