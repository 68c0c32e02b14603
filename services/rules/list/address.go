package list

import (
	"fmt"
	"net/netip"
	"strings"
)

// ParsePrefix reads "10.0.0.0/8", or an address as the prefix of its full
// length. IPv4 written as IPv6 (::ffff:a.b.c.d) counts as IPv4.
func ParsePrefix(s string) (netip.Prefix, error) {
	if octets, end, ok := parse4(s); ok && end < len(s) { // nearly always
		if length, ok := parseLength(s[end+1:]); ok {
			return netip.PrefixFrom(netip.AddrFrom4(octets), length).Masked(), nil
		}
	}
	if strings.IndexByte(s, '/') < 0 {
		addr, ok := ParseAddr(s)
		if !ok {
			return netip.Prefix{}, fmt.Errorf("%w: %q is no IP address", ErrEntry, s)
		}
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%w: %w", ErrEntry, err)
	}
	if addr := prefix.Addr(); addr.Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(addr.Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), nil
}

// ParseAddr reads an IP address without zone. It does not allocate for IPv4
// and for valid IPv6.
func ParseAddr(s string) (netip.Addr, bool) {
	if len(s) < 2 || len(s) > 45 {
		return netip.Addr{}, false
	}
	if strings.IndexByte(s, ':') >= 0 {
		addr, err := netip.ParseAddr(s)
		if err != nil || addr.Zone() != "" {
			return netip.Addr{}, false
		}
		return addr.Unmap(), true
	}
	octets, rest, ok := parse4(s)
	return netip.AddrFrom4(octets), ok && rest == len(s)
}

// parse4 reads an IPv4 address up to the end or a slash.
func parse4[T string | []byte](s T) (octets [4]byte, end int, ok bool) {
	part, value, digits := 0, 0, 0
	for i := 0; i <= len(s); i++ {
		if i == len(s) || s[i] == '.' || s[i] == '/' {
			if digits == 0 {
				return octets, i, false
			}
			octets[part] = byte(value)
			part, value, digits = part+1, 0, 0
			if i == len(s) || s[i] == '/' {
				return octets, i, part == 4
			}
			if part == 4 {
				return octets, i, false
			}
			continue
		}
		c := s[i] - '0'
		if c > 9 || digits > 0 && value == 0 {
			return octets, i, false
		}
		value, digits = value*10+int(c), digits+1
		if value > 255 {
			return octets, i, false
		}
	}
	return octets, len(s), false
}

// parseNetwork reads what ParsePrefix reads, without allocation but for IPv6.
func parseNetwork[T string | []byte](s T) (network, bool) {
	colon := false
	for i := range len(s) {
		switch c := s[i]; {
		case c == ':':
			colon = true
		case c-'0' <= 9, c == '.', c == '/', (c|0x20)-'a' <= 5:
		default:
			return network{}, false
		}
	}
	if colon {
		prefix, err := ParsePrefix(string(s))
		return networkOf(prefix), err == nil
	}
	octets, end, ok := parse4(s)
	if !ok {
		return network{}, false
	}
	length := 32
	if end < len(s) {
		if length, ok = parseLength(s[end+1:]); !ok {
			return network{}, false
		}
	}
	return networkOf(netip.PrefixFrom(netip.AddrFrom4(octets), length).Masked()), true
}

// parseLength reads the length of an IPv4 prefix.
func parseLength[T string | []byte](s T) (int, bool) {
	if len(s) < 1 || len(s) > 2 || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		c := s[i] - '0'
		if c > 9 {
			return 0, false
		}
		n = n*10 + int(c)
	}
	return n, n <= 32
}
