package backtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/backlot-video/backlot/services/rules/fact"
)

// Sizes of pieces of lines.
const (
	pieceBytes   = 512 << 10
	orderedBytes = 128 << 10 // about a batch, so that others decode meanwhile
	maxLine      = fact.MaxBytes + 64
)

// buffer returns memory for a piece.
func (r *run) buffer(size int) []byte {
	select {
	case data := <-r.free:
		if cap(data) >= size {
			return data[:0]
		}
	default:
	}
	return make([]byte, 0, size)
}

// release takes the memory of a piece back.
func (r *run) release(data []byte) {
	select {
	case r.free <- data:
	default:
	}
}

// readLines cuts a stream at ends of lines.
func (in *input) readLines(ctx context.Context, cut *cutter, reader io.Reader) error {
	size := pieceBytes
	if cut.ordered {
		size = orderedBytes
	}
	line := int64(1)
	var rest []byte // the begin of a line, of the buffer before
	for {
		data := append(cut.run.buffer(max(size, 2*len(rest))), rest...)
		n, err := io.ReadFull(reader, data[len(data):cap(data)])
		data = data[:len(data)+n]
		ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !ended {
			return err
		}
		whole := len(data)
		if !ended {
			whole = bytes.LastIndexByte(data, '\n') + 1
		}
		rest = append(rest[:0], data[whole:]...)
		if len(rest) > maxLine {
			return fmt.Errorf("%w: line %d is longer than %d bytes", ErrInput, line+int64(bytes.Count(data[:whole], newline)), maxLine)
		}
		if whole > 0 {
			count := int64(bytes.Count(data[:whole], newline))
			if err := cut.send(ctx, &piece{in: in, data: data[:whole], first: line}); err != nil {
				return err
			}
			line += count
		} else {
			cut.run.release(data)
		}
		if ended {
			return nil
		}
	}
}

var newline = []byte{'\n'}

// lines decodes a piece into batches.
func (w *worker) lines(p *piece) error {
	number := p.first
	for at := 0; at < len(p.data); number++ {
		end := bytes.IndexByte(p.data[at:], '\n')
		if end < 0 {
			end = len(p.data) - at
		}
		line := bytes.TrimSpace(p.data[at : at+end])
		at += end + 1
		if len(line) == 0 {
			continue
		}
		if err := w.line(p, line, number); err != nil {
			return err
		}
	}
	return w.flush()
}

// line adds an event to the current batch.
func (w *worker) line(p *piece, line []byte, number int64) error {
	recorded, err := w.text.Decode(line, &w.record)
	if err != nil {
		return w.run.reject(Bad{p.in.name, number, err.Error()})
	}
	action := recordedAction(recorded)
	if w.run.pair.live == nil && action == 0 {
		return w.run.reject(Bad{p.in.name, number, fmt.Sprintf("field %q: want allow, challenge, review or deny, found %q", w.run.config.VerdictField, recorded)})
	}
	w.builder.Append(&w.record)
	w.origins = append(w.origins, origin{number, line})
	w.recorded = append(w.recorded, action)
	return w.flushFull()
}
