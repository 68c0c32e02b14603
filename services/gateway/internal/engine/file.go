package engine

import (
	"errors"
	"io"
	"os"
)

// filePiece is sent at once, so that a deadline of writing is of a piece.
const filePiece = 4 << 20

// SendFile sends n bytes of the answer's body from where a file stands, which
// the kernel does by itself (sendfile(2)) where the connection is plain. It
// implements adapt.FileSender.
func (c *conn) SendFile(file *os.File, n int64) (int64, error) {
	a := &c.answer
	if c.tcp == nil || a.chunked || a.noBody || !a.headed || a.left >= 0 && n > a.left {
		return 0, errors.ErrUnsupported
	}
	if err := c.flush(); err != nil {
		return 0, err
	}
	sent := int64(0)
	for sent < n {
		c.stallBy()
		some, err := c.tcp.ReadFrom(io.LimitReader(file, min(n-sent, filePiece)))
		sent += some
		c.x.Sent += some
		if a.left >= 0 {
			a.left -= some
		}
		if err != nil {
			return sent, c.wrote(err)
		}
		if some == 0 {
			return sent, io.ErrUnexpectedEOF
		}
	}
	return sent, nil
}
