package model

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/backlot-video/backlot/services/recommender/internal/blas"
)

// The file: magic, format, body, SHA-256 of all before it. Numbers are
// little-endian; a text is its length in one byte and its bytes.
const (
	magic  = "BACKLOTR"
	format = 1
	head   = len(magic) + 4
)

// Encode returns the binary form of m.
func Encode(m *Model) ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	w := writer{make([]byte, 0, 512+len(m.Videos)*(41+4*m.Items.Cols()))}
	w.bytes = append(w.bytes, magic...)
	w.u32(format)
	w.text(m.Version)
	w.text(m.Tenant)
	w.text(m.Backend)
	w.u64(uint64(m.TrainedAt.UnixMicro()))
	w.u64(uint64(m.TrainingTime))
	w.u64(m.Viewers)
	w.u64(m.Views)
	c := m.Config
	for _, n := range []int{c.Factors, c.Sweeps, c.Steps} {
		w.u32(uint32(n))
	}
	for _, x := range []float32{c.Alpha, c.Lambda, c.Exponent, m.Popularity} {
		w.u32(math.Float32bits(x))
	}
	w.u64(c.Seed)
	q := m.Quality
	for _, x := range []float64{q.Recall, q.NDCG, q.PopularityRecall, q.PopularityNDCG} {
		w.u64(math.Float64bits(x))
	}
	w.u64(q.Viewers)
	w.u32(uint32(len(m.Videos)))
	for _, id := range m.Videos {
		w.text(id)
	}
	for _, n := range m.Counts {
		w.u32(n)
	}
	for _, x := range m.Items.Data() {
		w.u32(math.Float32bits(x))
	}
	m.Items.KeepAlive()
	sum := sha256.Sum256(w.bytes)
	return append(w.bytes, sum[:]...), nil
}

// Decode reads what Encode wrote. Whatever the data, it answers with a valid
// model or with ErrInvalid, and allocates no more than a small multiple of
// the data's length.
func Decode(data []byte) (*Model, error) {
	if len(data) < head+sha256.Size || string(data[:len(magic)]) != magic {
		return nil, fmt.Errorf("%w: not a model file", ErrInvalid)
	}
	if got := binary.LittleEndian.Uint32(data[len(magic):]); got != format {
		return nil, fmt.Errorf("%w: format %d, this program reads %d", ErrInvalid, got, format)
	}
	body, stored := data[:len(data)-sha256.Size], data[len(data)-sha256.Size:]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], stored) {
		return nil, fmt.Errorf("%w: checksum does not match", ErrInvalid)
	}
	return decodeBody(body[head:])
}

func decodeBody(body []byte) (*Model, error) {
	r := &reader{rest: body}
	m := &Model{Version: r.text(), Tenant: r.text(), Backend: r.text()}
	m.TrainedAt = time.UnixMicro(int64(r.u64())).UTC()
	m.TrainingTime = time.Duration(r.u64())
	m.Viewers, m.Views = r.u64(), r.u64()
	c := &m.Config
	for _, field := range []*int{&c.Factors, &c.Sweeps, &c.Steps} {
		*field = int(r.u32())
	}
	for _, field := range []*float32{&c.Alpha, &c.Lambda, &c.Exponent, &m.Popularity} {
		*field = math.Float32frombits(r.u32())
	}
	c.Seed = r.u64()
	q := &m.Quality
	for _, field := range []*float64{&q.Recall, &q.NDCG, &q.PopularityRecall, &q.PopularityNDCG} {
		*field = math.Float64frombits(r.u64())
	}
	q.Viewers = r.u64()
	if err := m.decodeVideos(r); err != nil {
		return nil, err
	}
	if err := m.Validate(); err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// decodeVideos reads the parts whose length depends on the number of videos.
func (m *Model) decodeVideos(r *reader) error {
	n := int(r.u32())
	if n > len(r.rest) { // each takes more than a byte
		r.short = true
	}
	if r.short {
		return fmt.Errorf("%w: cut short", ErrInvalid)
	}
	m.Videos = make([]string, n)
	for i := range m.Videos {
		m.Videos[i] = r.text()
	}
	width := m.Config.Factors
	if width < 1 || width > MaxFactors || r.short || len(r.rest) != n*4*(1+width) {
		return fmt.Errorf("%w: length of the factors", ErrInvalid)
	}
	m.Counts = make([]uint32, n)
	for i := range m.Counts {
		m.Counts[i] = r.u32()
	}
	var err error
	if m.Items, err = blas.New(n, width); err != nil {
		return err
	}
	finite := true
	for i, data := 0, m.Items.Data(); i < len(data); i++ {
		data[i] = math.Float32frombits(r.u32())
		finite = finite && data[i]-data[i] == 0
	}
	if !finite {
		m.Close()
		return fmt.Errorf("%w: a factor is not a number", ErrInvalid)
	}
	return nil
}

type writer struct{ bytes []byte }

func (w *writer) u32(x uint32) { w.bytes = binary.LittleEndian.AppendUint32(w.bytes, x) }
func (w *writer) u64(x uint64) { w.bytes = binary.LittleEndian.AppendUint64(w.bytes, x) }
func (w *writer) text(s string) {
	w.bytes = append(append(w.bytes, byte(len(s))), s...)
}

// reader returns zeros once it ran short.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if r.short || len(r.rest) < n {
		r.short = true
		return make([]byte, n) // n is at most maxString
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) u32() uint32  { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64  { return binary.LittleEndian.Uint64(r.take(8)) }
func (r *reader) text() string { return string(r.take(int(r.take(1)[0]))) }
