package rules

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/armon/go-radix"
	"github.com/gaissmai/bart"

	"github.com/backlot-video/backlot/bench/internal/measure"
	"github.com/backlot-video/backlot/services/rules/list"
)

const listEntries = 1_000_000

// holder is a way to hold the entries of a list.
type holder struct {
	name  string
	build func(entries func(yield func(string) bool)) (has func(probe) bool, err error)
}

// probe is a value that is looked up, parsed ahead where it is an address.
type probe struct {
	text string
	addr netip.Addr
}

// Lists measures lists of a million entries: looking up values that are matched
// and others, in random order, the memory of an entry, and how long they are
// made (with their texts).
func Lists(report *measure.Report) error {
	for _, kind := range []struct {
		name    string
		entry   func(i int, random *rand.Rand) string
		probe   func(entry string, hit bool) probe
		holders []holder
	}{
		{"exact", fingerprint, fingerprintProbe, []holder{ourList(list.Exact), hashMap}},
		{"prefix", number, numberProbe, []holder{ourList(list.Prefix), mapOfLengths, radixTree}},
		{"cidr", net, netProbe, []holder{ourList(list.CIDR), bartLite}},
	} {
		name := "rules/list/" + kind.name
		entries := func(yield func(string) bool) {
			random := rand.New(rand.NewPCG(9, 1))
			for i := range listEntries {
				if !yield(kind.entry(i, random)) {
					return
				}
			}
		}
		var in, out []probe
		pick := rand.New(rand.NewPCG(9, 2))
		for entry := range entries {
			if pick.IntN(listEntries/16384) == 0 {
				in, out = append(in, kind.probe(entry, true)), append(out, kind.probe(entry, false))
			}
		}
		for _, probes := range [][]probe{in, out} {
			pick.Shuffle(len(probes), func(i, j int) { probes[i], probes[j] = probes[j], probes[i] })
		}
		if err := compareLists(report, name, kind.holders, entries, in, out); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// compareLists prints two lines: of values that are matched, and of others.
func compareLists(report *measure.Report, name string, holders []holder, entries func(func(string) bool), in, out []probe) error {
	bytes, loads := map[string]float64{}, map[string]float64{}
	tests := make([]func(probe) bool, len(holders))
	for i, h := range holders {
		before, began := heap(), measure.CPU()
		var err error
		if tests[i], err = h.build(entries); err != nil {
			return err
		}
		loads[h.name] = float64((measure.CPU() - began) / time.Millisecond)
		bytes[h.name] = float64(heap()-before) / listEntries
	}
	for _, set := range []struct {
		name   string
		probes []probe
	}{{"in", in}, {"out", out}} {
		want := 0
		for _, p := range set.probes {
			if tests[0](p) {
				want++
			}
		}
		var cases []measure.Case
		for i, h := range holders {
			for _, p := range set.probes {
				if tests[i](p) != tests[0](p) {
					return fmt.Errorf("%s and %s differ about %+v", h.name, holders[0].name, p)
				}
			}
			cases = append(cases, measure.Case{Name: h.name, Ops: len(set.probes), Run: func() error {
				found := 0
				for _, p := range set.probes {
					if tests[i](p) {
						found++
					}
				}
				return agreed(found, want)
			}})
		}
		results, err := measure.Compare(cases, measure.Turns{})
		if err != nil {
			return err
		}
		best := measure.Best(results)
		if err := report.Print(measure.Line{
			Bench: name + "/" + set.name, Unit: "ns/lookup", Ours: results[0].PerOp, Peer: best.Name, PeerValue: best.PerOp,
			Extra: []measure.Extra{
				{Name: "allocs", Value: results[0].Allocs},
				{Name: "bytes_per_entry", Value: bytes},
				{Name: "build_ms", Value: loads},
				measure.All(results, 1),
			},
		}); err != nil {
			return err
		}
	}
	return nil
}

func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func ourList(match list.Match) holder {
	return holder{"ours", func(entries func(func(string) bool)) (func(probe) bool, error) {
		b := list.NewBuilder(list.Config{Match: match})
		for entry := range entries {
			if err := b.AddString(entry); err != nil {
				return nil, err
			}
		}
		l, err := b.Build()
		if match == list.CIDR {
			return func(p probe) bool { return l.HasAddr(p.addr) }, err
		}
		return func(p probe) bool { return l.HasText(p.text) }, err
	}}
}

var hashMap = holder{"map[string]struct{}", func(entries func(func(string) bool)) (func(probe) bool, error) {
	m := map[string]struct{}{}
	for entry := range entries {
		m[entry] = struct{}{}
	}
	return func(p probe) bool { _, ok := m[p.text]; return ok }, nil
}}

var mapOfLengths = holder{"map[string]struct{}, a lookup for each length", func(entries func(func(string) bool)) (func(probe) bool, error) {
	m, lengths := map[string]struct{}{}, []int{}
	for entry := range entries {
		m[entry] = struct{}{}
		if !slices.Contains(lengths, len(entry)) {
			lengths = append(lengths, len(entry))
		}
	}
	slices.Sort(lengths)
	return func(p probe) bool {
		for _, n := range lengths {
			if n > len(p.text) {
				return false
			}
			if _, ok := m[p.text[:n]]; ok {
				return true
			}
		}
		return false
	}, nil
}}

var radixTree = holder{"go-radix v1.0.0", func(entries func(func(string) bool)) (func(probe) bool, error) {
	tree := radix.New()
	for entry := range entries {
		tree.Insert(entry, nil)
	}
	return func(p probe) bool { _, _, ok := tree.LongestPrefix(p.text); return ok }, nil
}}

var bartLite = holder{"bart.Lite v0.30.0", func(entries func(func(string) bool)) (func(probe) bool, error) {
	table := &bart.Lite{}
	for entry := range entries {
		prefix, err := netip.ParsePrefix(entry)
		if err != nil {
			return nil, err
		}
		table.Insert(prefix)
	}
	return func(p probe) bool { return table.Contains(p.addr) }, nil
}}

func fingerprint(i int, _ *rand.Rand) string { return fmt.Sprintf("fp_%017d", 2*i) }

func fingerprintProbe(entry string, hit bool) probe {
	if hit {
		return probe{text: entry}
	}
	return probe{text: entry[:len(entry)-1] + "x"}
}

// number is the begin of a card's number, of 8 to 10 digits.
func number(_ int, random *rand.Rand) string {
	return strconv.Itoa(4_000_000_000 + random.IntN(1_000_000_000))[:8+random.IntN(3)]
}

func numberProbe(entry string, hit bool) probe {
	if hit {
		return probe{text: entry + "0123456789"}
	}
	return probe{text: entry[:4] + entry[5:] + "0123456789"} // is matched once in a while
}

// net is an IPv4 network of 20 to 32 bits.
func net(_ int, random *rand.Rand) string {
	a := random.Uint32()
	addr := netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)})
	return netip.PrefixFrom(addr, 20+random.IntN(13)).Masked().String()
}

func netProbe(entry string, hit bool) probe {
	addr := netip.MustParsePrefix(entry).Addr()
	if !hit {
		octets := addr.As4()
		addr = netip.AddrFrom4([4]byte{octets[2], octets[3], octets[0], octets[1]})
	}
	return probe{addr: addr}
}
