package coding_test

import (
	"bytes"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/backlot-video/backlot/services/gateway/internal/filter/coding"
)

func best(lines ...string) coding.Coding {
	var a coding.Accept
	for _, line := range lines {
		a.Add([]byte(line))
	}
	return a.Best()
}

func TestBestCoding(t *testing.T) {
	for line, want := range map[string]coding.Coding{
		"": coding.Identity, "deflate": coding.Identity, "gzip": coding.Gzip, "X-GZIP": coding.Gzip, "gzip, deflate, br, zstd": coding.Zstd,
		"gzip;q=1, br;q=0.9, zstd;q=0.5": coding.Gzip, "br;q=0.5,gzip;q=0.5": coding.Brotli, "*": coding.Zstd, "*;q=0": coding.Identity,
		"zstd;q=0, *;q=0.3": coding.Brotli, "gzip;q=0": coding.Identity, "identity, gzip;q=0.5": coding.Identity, "identity;q=0.5, gzip;q=0.5": coding.Gzip,
		"gzip;q=0.0": coding.Identity, "gzip;q=0.001": coding.Gzip, "gzip;q=1.001": coding.Identity, "gzip;q=2": coding.Identity, "gzip;q=x": coding.Identity,
		"gzip; Q = 0.5 ;x=y , br ; q=0.4": coding.Gzip, "gzip;x=y": coding.Gzip, ",,;,": coding.Identity, "gzipped": coding.Identity,
	} {
		if got := best(line); got != want {
			t.Errorf("%q: %s, want %s", line, got.Bytes(), want.Bytes())
		}
	}
	if best("gzip", "br;q=0.5") != coding.Gzip {
		t.Error("lines are not read together")
	}
}

// FuzzAccept compares with a reading by the standard library's means.
func FuzzAccept(f *testing.F) {
	for _, seed := range []string{"gzip;q=0.5, br", "zstd;q=0.123,*;q=1", "gzip;q=1.0000"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		names := map[string]float64{}
		for _, member := range strings.Split(strings.ToLower(line), ",") {
			parts := strings.Split(member, ";")
			q := 1.0
			for _, parameter := range parts[1:] {
				name, value, _ := strings.Cut(parameter, "=")
				if strings.Trim(name, " \t\n\v\f\r\u0085\u00a0") == "q" {
					var err error
					value = strings.TrimSpace(value)
					if q, err = strconv.ParseFloat(value, 64); err != nil || q > 1 || q < 0 || len(value) > 5 || strings.Trim(value, "0123456789.") != "" || value[0] == '.' {
						q = 0
					}
					break
				}
			}
			names[strings.TrimSpace(parts[0])] = q
		}
		got := best(line)
		if got == coding.Identity {
			return
		}
		q, said := names[string(got.Bytes())]
		if alias, other := names["x-gzip"]; other && got == coding.Gzip {
			q, said = math.Max(q, alias), true
		}
		if !said {
			q = names["*"]
		}
		if q <= 0 {
			t.Errorf("%q: %s is not accepted", line, got.Bytes())
		}
	})
}

func decode(t *testing.T, c coding.Coding, coded []byte) []byte {
	t.Helper()
	var from io.Reader
	var err error
	switch c {
	case coding.Gzip:
		from, err = gzip.NewReader(bytes.NewReader(coded))
	case coding.Brotli:
		from = brotli.NewReader(bytes.NewReader(coded))
	default:
		from, err = zstd.NewReader(bytes.NewReader(coded), zstd.WithDecoderMaxWindow(8<<20))
	}
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(from)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func text(n int) []byte {
	random := rand.New(rand.NewPCG(1, 1))
	var b bytes.Buffer
	for b.Len() < n {
		b.WriteString(`{"id":` + strconv.Itoa(random.IntN(1e6)) + `,"title":"a video","price":"4.99"},`)
	}
	return b.Bytes()[:n]
}

func TestWhatIsCodedIsReadBack(t *testing.T) {
	pool := coding.NewPool(2)
	plain := text(300_000)
	for _, c := range []coding.Coding{coding.Gzip, coding.Brotli, coding.Zstd} {
		for round := range 3 {
			var coded bytes.Buffer
			w, err := pool.Get(c, &coded)
			if err != nil {
				t.Fatal(err)
			}
			if round == 1 { // one is given up in the middle
				_, _ = w.Write(plain[:1000])
				w.Discard()
				w.Discard()
				continue
			}
			for part := plain; len(part) > 0; part = part[min(len(part), 70_001):] {
				if _, err := w.Write(part[:min(len(part), 70_001)]); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(decode(t, c, coded.Bytes()), plain) {
				t.Errorf("%s, round %d: is read back as something else", c.Bytes(), round)
			}
			if coded.Len() > len(plain)/3 {
				t.Errorf("%s: %d of %d bytes", c.Bytes(), coded.Len(), len(plain))
			}
		}
	}
	if pool.InUse() != 0 {
		t.Errorf("%d places are not given back", pool.InUse())
	}
}

func TestFlushSendsWhatWasWritten(t *testing.T) {
	pool := coding.NewPool(3)
	for _, c := range []coding.Coding{coding.Gzip, coding.Brotli, coding.Zstd} {
		reader, writer := io.Pipe()
		w, err := pool.Get(c, writer)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = w.Write([]byte("event 1\n"))
			_ = w.Flush()
		}()
		var from io.Reader
		switch c {
		case coding.Gzip:
			from, err = gzip.NewReader(reader)
		case coding.Brotli:
			from = brotli.NewReader(reader)
		default:
			from, err = zstd.NewReader(reader, zstd.WithDecoderConcurrency(1))
		}
		if err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len("event 1\n"))
		if _, err := io.ReadFull(from, got); err != nil || string(got) != "event 1\n" {
			t.Errorf("%s: %q, %v", c.Bytes(), got, err)
		}
		_ = reader.Close()
	}
}

func TestAPoolIsFullAtItsBound(t *testing.T) {
	pool := coding.NewPool(1)
	if pool.Full() {
		t.Error("full at the beginning")
	}
	w, err := pool.Get(coding.Gzip, io.Discard)
	if err != nil || !pool.Full() {
		t.Errorf("not full with one in use: %v", err)
	}
	if w.Discard(); pool.Full() {
		t.Error("a place is lost")
	}
}

func BenchmarkWriter(b *testing.B) {
	plain := text(64 << 10)
	pool := coding.NewPool(1)
	for _, c := range []coding.Coding{coding.Gzip, coding.Brotli, coding.Zstd} {
		b.Run(string(c.Bytes()), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(plain)))
			coded := bytes.NewBuffer(make([]byte, 0, len(plain)))
			for b.Loop() {
				coded.Reset()
				w, err := pool.Get(c, coded)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = w.Write(plain)
				if err := w.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(coded.Len())/float64(len(plain)), "size")
		})
	}
}

func BenchmarkAccept(b *testing.B) {
	line := []byte("gzip, deflate, br, zstd")
	b.ReportAllocs()
	for b.Loop() {
		var a coding.Accept
		a.Add(line)
		if a.Best() != coding.Zstd {
			b.Fatal()
		}
	}
}
