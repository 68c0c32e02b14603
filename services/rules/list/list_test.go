package list

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

func TestHas(t *testing.T) {
	l, err := New([]string{"vip", "10.0.0.0/8", "10.1.0.0/16", "192.0.2.7", "2001:db8::/32", "::ffff:198.51.100.0/120", "中国"})
	if err != nil {
		t.Fatal(err)
	}
	for s, want := range map[string]bool{
		"vip": true, "VIP": false, "中国": true, "10.255.255.255": true, "11.0.0.0": false, "192.0.2.7": true,
		"192.0.2.8": false, "::ffff:10.0.0.1": true, "2001:DB8:0::1": true, "2001:db9::": false, "198.51.100.9": true,
		"10.0.0.0/8": true, "": false, "010.0.0.1": false, "10.0.0": false, "10.0.0.1.2": false, "fe80::1%eth0": false,
	} {
		if got := l.Has(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func TestRangesAgreeWithPrefixes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var entries []string
	var prefixes []netip.Prefix
	for range 300 {
		addr := netip.AddrFrom4([4]byte{10, byte(random.IntN(4)), byte(random.IntN(256)), byte(random.IntN(256))})
		prefix := netip.PrefixFrom(addr, 16+random.IntN(17)).Masked()
		prefixes = append(prefixes, prefix)
		entries = append(entries, prefix.String())
	}
	l, err := New(entries)
	if err != nil {
		t.Fatal(err)
	}
	for range 5000 {
		addr := netip.AddrFrom4([4]byte{10, byte(random.IntN(5)), byte(random.IntN(256)), byte(random.IntN(256))})
		want := false
		for _, prefix := range prefixes {
			want = want || prefix.Contains(addr)
		}
		if got := l.Has(addr.String()); got != want {
			t.Fatalf("%s: %v", addr, got)
		}
	}
}

func TestNewRefusesBadEntries(t *testing.T) {
	for _, entry := range []string{"", fmt.Sprintf("%01025d", 0)} {
		if _, err := New([]string{entry}); !errors.Is(err, ErrEntry) {
			t.Errorf("%.5q: %v", entry, err)
		}
	}
}

func TestRegistrySwapsUnderPrograms(t *testing.T) {
	var registry Registry
	first, _ := New([]string{"a"})
	second, _ := New([]string{"b"})
	registry.Set("x", first)
	ref, ok := registry.Ref("x")
	if !ok || !ref.Get().Has("a") {
		t.Fatal("not registered")
	}
	registry.Set("x", second)
	if !ref.Get().Has("b") || ref.Get().Has("a") {
		t.Error("not swapped")
	}
	registry.Delete("x")
	if _, ok := registry.Ref("x"); ok || !ref.Get().Has("b") || len(registry.Names()) != 0 {
		t.Error("deletion must take the name only")
	}
}

func FuzzParseAddr(f *testing.F) {
	for _, seed := range []string{"10.0.0.1", "::1", "::ffff:1.2.3.4", "1.2.3.04", "fe80::1%a"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := ParseAddr(s)
		want, err := netip.ParseAddr(s)
		if ok != (err == nil && want.Zone() == "") || ok && got != want.Unmap() {
			t.Errorf("%q: %v %v, netip says %v %v", s, got, ok, want, err)
		}
	})
}
