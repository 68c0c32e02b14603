package list

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"testing"
)

// sized returns a list of n entries, and values of which half are in it.
func sized(tb testing.TB, match Match, n int) (*List, []string) {
	tb.Helper()
	random := rand.New(rand.NewPCG(1, uint64(n)))
	b := NewBuilder(Config{Match: match})
	if match == CIDR {
		b.Grow(n, 0)
	} else {
		b.Grow(n, 21*n)
	}
	var probes []string
	for i := range n {
		entry, other := fmt.Sprintf("fp_%017d", 2*i), fmt.Sprintf("fp_%017d", 2*i+1)
		switch match {
		case CIDR:
			a := random.Uint32()
			addr := netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)})
			entry, other = netip.PrefixFrom(addr, 24+random.IntN(9)).Masked().String(), netip.AddrFrom4([4]byte{byte(a), byte(a >> 8), byte(a >> 16), byte(a >> 24)}).String()
		case Prefix:
			entry, other = strconv.Itoa(400000+i), strconv.Itoa(300000+i)+"0000000000"
		default:
		}
		if err := b.AddString(entry); err != nil {
			tb.Fatal(err)
		}
		if random.IntN(n/4096+1) == 0 {
			if prefix, err := ParsePrefix(entry); err == nil {
				entry = prefix.Addr().String()
			} else if match == Prefix {
				entry += "0000000000"
			}
			probes = append(probes, entry, other)
		}
	}
	l, err := b.Build()
	if err != nil {
		tb.Fatal(err)
	}
	random.Shuffle(len(probes), func(i, j int) { probes[i], probes[j] = probes[j], probes[i] })
	return l, probes[:len(probes)/2*2]
}

var sink bool

func BenchmarkHas(b *testing.B) {
	for _, match := range []Match{Exact, Prefix} {
		for _, n := range []int{1000, 1_000_000} {
			l, probes := sized(b, match, n)
			var in, out []string
			for _, s := range probes {
				if l.HasText(s) {
					in = append(in, s)
				} else {
					out = append(out, s)
				}
			}
			for name, probes := range map[string][]string{"in": in, "out": out} {
				b.Run(fmt.Sprintf("%s/%d/%s", match, n, name), func(b *testing.B) {
					b.ReportAllocs()
					b.ReportMetric(float64(l.Bytes())/float64(l.Len()), "B/entry")
					for i := range b.N {
						sink = l.HasText(probes[i%len(probes)])
					}
				})
			}
		}
	}
	for _, n := range []int{1000, 1_000_000} {
		l, probes := sized(b, CIDR, n)
		addrs := make([]netip.Addr, len(probes))
		for i, s := range probes {
			addrs[i], _ = ParseAddr(s)
		}
		b.Run(fmt.Sprintf("cidr/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			b.ReportMetric(float64(l.Bytes())/float64(l.Len()), "B/entry")
			for i := range b.N {
				sink = l.HasAddr(addrs[i%len(addrs)])
			}
		})
	}
}

func BenchmarkMake(b *testing.B) {
	for _, match := range []Match{Auto, Exact, CIDR} {
		l, _ := sized(b, match, 1_000_000)
		entries := make([]string, 0, l.Len())
		for entry := range l.All() {
			entries = append(entries, entry)
		}
		b.Run(fmt.Sprintf("%s/1000000", match), func(b *testing.B) {
			for range b.N {
				if _, err := Make(Config{Match: match}, entries); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestMemory measures the heap that a list keeps: of many entries, or of as
// many as the environment says, `ENTRIES=10000000 go test -run TestMemory -v`.
func TestMemory(t *testing.T) {
	n := 100_000
	if s := os.Getenv("ENTRIES"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	for _, match := range []Match{Exact, CIDR} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		l, _ := sized(t, match, n)
		runtime.GC()
		runtime.ReadMemStats(&after)
		heap := int64(after.HeapAlloc) - int64(before.HeapAlloc)
		t.Logf("%s: %d entries, %.1f MB of heap, %.1f bytes an entry, %d objects", match, l.Len(), float64(heap)/1e6,
			float64(heap)/float64(l.Len()), int64(after.HeapObjects)-int64(before.HeapObjects))
		if heap > l.Bytes()*11/10+1<<20 || float64(l.Bytes())/float64(l.Len()) > 40 {
			t.Errorf("%s: %d bytes of heap, the list says %d", match, heap, l.Bytes())
		}
		runtime.KeepAlive(l)
	}
}
