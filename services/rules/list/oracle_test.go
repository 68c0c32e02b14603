package list

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
)

// naive is what a list must answer, one entry after the other.
type naive struct {
	match   Match
	entries map[string]bool
}

func newNaive(match Match, entries []string) *naive {
	n := &naive{match, map[string]bool{}}
	for _, entry := range entries {
		n.entries[n.spell(entry)] = true
	}
	return n
}

func (n *naive) spell(entry string) string {
	if prefix, err := ParsePrefix(entry); n.match == CIDR && err == nil {
		return prefix.String()
	}
	return entry
}

func (n *naive) has(s string) bool {
	for entry := range n.entries {
		switch {
		case n.match == Prefix && strings.HasPrefix(s, entry), n.match != CIDR && s == entry:
			return true
		case n.match == CIDR || n.match == Auto:
			prefix, err := ParsePrefix(entry)
			if addr, ok := ParseAddr(s); err == nil && ok && prefix.Contains(addr) {
				return true
			}
		}
	}
	return false
}

func (n *naive) with(add, remove []string) *naive {
	out := &naive{n.match, maps.Clone(n.entries)}
	for _, entry := range remove {
		delete(out.entries, n.spell(entry))
	}
	for _, entry := range add {
		out.entries[n.spell(entry)] = true
	}
	return out
}

// randomEntry draws from few values, so that entries meet.
func randomEntry(random *rand.Rand, match Match) string {
	if match == CIDR || match == Auto && random.IntN(2) == 0 {
		if random.IntN(3) == 0 {
			addr := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(random.IntN(2)), 7: byte(random.IntN(4)), 15: byte(random.IntN(3))})
			return netip.PrefixFrom(addr, []int{0, 32, 40, 60, 64, 120, 127, 128}[min(1+random.IntN(8), 7)]).Masked().String()
		}
		addr := netip.AddrFrom4([4]byte{[]byte{0, 10, 10, 255}[random.IntN(4)], byte(random.IntN(3)), byte(random.IntN(256)), byte(random.IntN(2))})
		if random.IntN(4) == 0 {
			return addr.String()
		}
		return netip.PrefixFrom(addr, 8+random.IntN(25)).Masked().String()
	}
	const letters = "ab中"
	var s strings.Builder
	for range 1 + random.IntN(6) {
		s.WriteByte(letters[random.IntN(len(letters))])
	}
	if random.IntN(50) == 0 {
		s.WriteString(strings.Repeat("x", random.IntN(300)))
	}
	return s.String()
}

// probe draws a value that may be matched.
func probe(random *rand.Rand, match Match) string {
	s := randomEntry(random, match)
	if prefix, err := ParsePrefix(s); err == nil && random.IntN(4) > 0 {
		addr := prefix.Addr()
		switch random.IntN(3) {
		case 0:
			return addr.Prev().String()
		case 1:
			return addr.Next().String()
		}
		return addr.String()
	}
	return s + []string{"", "", "a", "bb"}[random.IntN(4)]
}

func draw(random *rand.Rand, n int, of func(*rand.Rand, Match) string, match Match) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = of(random, match)
	}
	return out
}

func agree(t *testing.T, what string, l *List, want *naive, probes []string) {
	t.Helper()
	if l.Len() != len(want.entries) {
		t.Fatalf("%s: %d entries, want %d", what, l.Len(), len(want.entries))
	}
	if got := slices.Sorted(l.All()); !slices.Equal(got, slices.Sorted(maps.Keys(want.entries))) {
		t.Fatalf("%s: entries %q", what, got)
	}
	for _, s := range probes {
		if got := l.Has(s); got != want.has(s) {
			t.Fatalf("%s: Has(%q) is %v; entries %q", what, s, got, slices.Collect(maps.Keys(want.entries)))
		}
		addr, ok := ParseAddr(s)
		if got := l.HasTextHash(s, Hash(s)) || ok && l.HasRanges() && l.HasAddr(addr); got != want.has(s) {
			t.Fatalf("%s: asked in two steps, %q is %v", what, s, got)
		}
	}
}

func TestListsAgreeWithNaiveOnes(t *testing.T) {
	for seed := range uint64(240) {
		random := rand.New(rand.NewPCG(seed, 7))
		match := Match(seed % 4)
		entries := draw(random, random.IntN(60), randomEntry, match)
		l, err := Make(Config{Match: match}, entries)
		if err != nil {
			t.Fatal(err)
		}
		want := newNaive(match, entries)
		agree(t, fmt.Sprintf("seed %d", seed), l, want, draw(random, 60, probe, match))
		for step := range 4 {
			add := draw(random, random.IntN(6), randomEntry, match)
			remove := slices.Concat(draw(random, random.IntN(3), randomEntry, match), someOf(random, slices.Collect(l.All())))
			before, beforeWant := l, want
			if l, err = l.With(add, remove); err != nil {
				t.Fatal(err)
			}
			want = want.with(add, remove)
			agree(t, fmt.Sprintf("seed %d, step %d: add %q, remove %q", seed, step, add, remove), l, want, draw(random, 60, probe, match))
			agree(t, "the list before", before, beforeWant, draw(random, 10, probe, match))
		}
	}
}

func someOf(random *rand.Rand, entries []string) []string {
	random.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	return entries[:random.IntN(min(len(entries), 8)+1)]
}

// TestLargeLists fills the tables well, which small lists do not.
func TestLargeLists(t *testing.T) {
	const n = 100_000
	entries := make([]string, 0, 2*n)
	for i := range n {
		entries = append(entries, fmt.Sprintf("card-%07d", 2*i), fmt.Sprintf("card-%07d", 2*(i/2)))
	}
	l, err := Make(Config{Match: Exact}, entries)
	if err != nil {
		t.Fatal(err)
	}
	if l.Len() != n {
		t.Errorf("%d entries", l.Len())
	}
	for i := range 2 * n {
		if s := fmt.Sprintf("card-%07d", i); l.HasText(s) != (i%2 == 0) {
			t.Fatalf("%s: %v", s, l.HasText(s))
		}
	}
	if perEntry := float64(l.Bytes()) / n; perEntry > 40 {
		t.Errorf("%.0f bytes an entry", perEntry)
	}
}

func TestLargeNetworks(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	const n = 50_000
	entries := make([]string, 0, 2*n)
	inside := make([]netip.Addr, 0, 2*n)
	for range n {
		four := netip.AddrFrom4([4]byte{byte(1 + random.IntN(200)), byte(random.IntN(256)), byte(random.IntN(256)), byte(random.IntN(128) * 2)})
		six := netip.AddrFrom16([16]byte{0x20, 1, byte(random.IntN(4)), byte(random.IntN(256)), byte(random.IntN(256)), byte(random.IntN(256)), 15: byte(random.IntN(128) * 2)})
		entries = append(entries, four.String(), six.String())
		inside = append(inside, four, six)
	}
	l, err := Make(Config{Match: CIDR}, entries)
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range inside {
		if !l.HasAddr(addr) || l.HasAddr(addr.Next()) {
			t.Fatalf("%s: %v, and %v for the one after", addr, l.HasAddr(addr), l.HasAddr(addr.Next()))
		}
	}
	for _, s := range []string{"0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
		if l.Has(s) {
			t.Errorf("%s is in it", s)
		}
	}
}

func TestLookupsDoNotAllocate(t *testing.T) {
	for _, match := range []Match{Auto, Exact, Prefix, CIDR} {
		entries := []string{"10.0.0.0/8", "2001:db8::/32"}
		if match != CIDR {
			entries = append(entries, "424242", "55", "a")
		}
		l, err := Make(Config{Match: match}, entries)
		if err != nil {
			t.Fatal(err)
		}
		over, err := l.With([]string{"172.16.0.0/12"}, []string{"10.0.0.0/8"})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{"4242420000000000", "10.2.3.4", "2001:db8::1", "nothing"} {
			if n := testing.AllocsPerRun(100, func() { _ = l.Has(s) || over.Has(s) }); n != 0 {
				t.Errorf("%s list, %q: %v allocations", match, s, n)
			}
		}
	}
}

func TestFaultsNameTheEntry(t *testing.T) {
	long := strings.Repeat("x", MaxEntry+1)
	for _, c := range []struct {
		config  Config
		entries []string
		want    string
		is      error
	}{
		{Config{}, []string{"a", ""}, "entry 2: list: bad entry: \"\" has 0 bytes", ErrEntry},
		{Config{}, []string{long}, "has 1025 bytes, allowed are 1 to 1024", ErrEntry},
		{Config{Match: Prefix}, []string{"42", "4242*"}, "entry 2: list: bad entry: \"4242*\": prefixes are written without '*'", ErrEntry},
		{Config{Match: CIDR}, []string{"10.0.0.0/33"}, "entry 1: list: bad entry: \"10.0.0.0/33\" is no IP address", ErrEntry},
		{Config{MaxEntries: 2}, []string{"a", "b", "c"}, "entry 3: list: too large: more than 2 entries", ErrTooLarge},
		{Config{MaxBytes: 2}, []string{"a", "bc"}, "entry 2: list: too large: more than 2 bytes", ErrTooLarge},
	} {
		_, err := Make(c.config, c.entries)
		if err == nil || !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v is not %s", err, c.want)
		}
	}
	var lengths []string
	for n := range MaxLengths + 1 {
		lengths = append(lengths, strings.Repeat("x", n+1))
	}
	if _, err := Make(Config{Match: Prefix}, lengths); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too many lengths: %v", err)
	}
	l, _ := New([]string{"a"})
	if _, err := l.With([]string{""}, nil); !errors.Is(err, ErrEntry) {
		t.Errorf("a bad entry is added: %v", err)
	}
	many := make([]string, MaxOverlay+1)
	for i := range many {
		many[i] = fmt.Sprint("e", i)
	}
	if _, err := l.With(many, nil); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too many are added: %v", err)
	}
}

func TestRead(t *testing.T) {
	l, err := Read(strings.NewReader("\ufeff# BINs of the bank\n# match: prefix\n\n 424242 \r\n# more\n55"), Config{}, 0)
	if err != nil || l.Match() != Prefix || l.Len() != 2 || !l.Has("4242421") || l.Has("42424") || !l.Has("55") {
		t.Errorf("%+v, %v", l, err)
	}
	for text, want := range map[string]string{
		"# match: prefix\na\nb*\n":         "line 3: list: bad entry: \"b*\"",
		"a\n# match: prefix\n":             "line 2: list: bad entry: '# match:' must stand before the first entry",
		"# match: regex\n":                 "line 1: list: match \"regex\"",
		"a\n" + strings.Repeat("x", 1<<17): "line 2: list: bad entry",
	} {
		if _, err := Read(strings.NewReader(text), Config{}, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: %v", text, err)
		}
	}
	if _, err := Read(strings.NewReader("# match: cidr\n"), Config{Match: Exact}, 0); err == nil {
		t.Error("two ways to match were accepted")
	}
	if l, err := Read(strings.NewReader(""), Config{}, 0); err != nil || l.Len() != 0 || l.Has("") {
		t.Errorf("an empty text: %v", err)
	}
}

func FuzzList(f *testing.F) {
	f.Add("10.0.0.0/8\n10.1.0.0/16\n::/0\na", "10.1.2.3", uint8(0))
	f.Add("42\n4242\n中国", "424", uint8(2))
	f.Fuzz(func(t *testing.T, text, probed string, match uint8) {
		config := Config{Match: Match(match % 4)}
		l, err := Read(strings.NewReader(text), config, int64(len(text)))
		if err != nil {
			return
		}
		want := newNaive(l.Match(), slices.Collect(l.All()))
		if l.Len() != len(want.entries) {
			t.Fatalf("%d entries, want %d", l.Len(), len(want.entries))
		}
		over, err := l.With([]string{probed}, nil)
		if err == nil && over.match != CIDR && !over.Has(probed) {
			t.Errorf("%q is not in a list it was added to", probed)
		}
		for entry := range l.All() {
			if l.match != CIDR && !l.Has(entry) {
				t.Errorf("%q is not in its list", entry)
			}
		}
		if l.Has(probed) != want.has(probed) {
			t.Errorf("%s list %q: Has(%q) is %v", l.match, text, probed, l.Has(probed))
		}
	})
}

func FuzzParseNetwork(f *testing.F) {
	for _, seed := range []string{"10.0.0.1", "10.0.0.1/8", "::1/64", "::ffff:1.2.3.4/100", "1.2.3.4/032", "fe80::1%a", "1.2.3.4.5", "1.2.3.4/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := parseNetwork([]byte(s))
		want, err := ParsePrefix(s)
		if ok != (err == nil) || ok && got.prefix() != want {
			t.Errorf("%q: %v %v, want %v %v", s, got.prefix(), ok, want, err)
		}
		if strings.Contains(s, "/") && !strings.Contains(s, ":") {
			standard, bad := netip.ParsePrefix(s)
			if (err == nil) != (bad == nil) || err == nil && want != standard.Masked() {
				t.Errorf("%q: %v %v, by package netip %v %v", s, want, err, standard, bad)
			}
		}
	})
}

// TestSwapsAreSeenWhole changes a list while it is read: each read sees one
// version, in which both or none of two entries are.
func TestSwapsAreSeenWhole(t *testing.T) {
	var registry Registry
	empty, _ := New([]string{"always", "10.0.0.0/8"})
	full, err := empty.With([]string{"a", "b"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	registry.Set("x", empty)
	ref, _ := registry.Ref("x")
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if l := ref.Get(); l.Has("a") != l.Has("b") || !l.Has("always") || !l.Has("10.1.1.1") {
					t.Error("half a list was seen")
					return
				}
			}
		})
	}
	for range 500 {
		registry.Set("x", full)
		registry.Set("x", empty)
	}
	close(stop)
	group.Wait()
}
