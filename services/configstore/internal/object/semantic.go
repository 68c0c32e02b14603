package object

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// semantic finds what the schema's rules cannot say of Backlot's own kinds:
// whatever passes can be rendered into xDS and put in force.
func semantic(message proto.Message, now time.Time) Faults {
	f := &finder{}
	switch spec := message.(type) {
	case *gatewayv1.Route:
		f.route(spec)
	case *gatewayv1.Cluster:
		f.cluster(spec)
	case *gatewayv1.Listener:
		f.listener(spec)
	case *gatewayv1.Secret:
		f.secret(spec, now)
	case *configstorev1.Instance:
		f.address("address", spec.GetAddress())
		if kitex := spec.GetKitexAddress(); kitex != "" {
			f.address("kitex_address", kitex)
		}
	}
	return f.faults
}

// finder collects the faults of one object.
type finder struct{ faults Faults }

func (f *finder) addf(path, format string, args ...any) {
	f.faults = append(f.faults, faultf(ErrInvalid, path, format, args...))
}

func (f *finder) address(path, address string) {
	if !isAddress(address) {
		f.addf(path, "%q is neither host:port nor unix:/path", address)
	}
}

// isAddress accepts `host:port` and `unix:/path`.
func isAddress(address string) bool {
	if path, unix := strings.CutPrefix(address, "unix:"); unix {
		return strings.HasPrefix(path, "/") && !strings.ContainsFunc(path, func(r rune) bool { return r < ' ' })
	}
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	port, err := strconv.ParseUint(text, 10, 16)
	return err == nil && port > 0 && (isHost(host) || net.ParseIP(host) != nil)
}

func isHostPattern(host string) bool { return isHost(strings.TrimPrefix(host, "*.")) }

// isHost accepts letters, digits, `-`, `_` and `.`, an IPv4 address among
// them.
func isHost(host string) bool {
	return host != "" && len(host) <= 253 && !strings.ContainsFunc(host, func(r rune) bool {
		letter := (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') || (r >= '0' && r <= '9')
		return !letter && r != '-' && r != '_' && r != '.'
	})
}

// isToken accepts the characters of header names (RFC 9110).
func isToken(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool {
		letter := (r >= 'a' && r <= 'z') || (r >= 'A' && r <= 'Z') || (r >= '0' && r <= '9')
		return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// isText accepts what a header's value may hold.
func isText(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return (r < ' ' && r != '\t') || r == 0x7f })
}

// at is the path of an element of a list.
func at(list string, n int) string { return fmt.Sprintf("%s[%d]", list, n) }
