package object

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// semantic finds what the schema's rules cannot say of Backlot's own kinds:
// whatever passes can be rendered into xDS.
func semantic(message proto.Message) (faults Faults) {
	switch spec := message.(type) {
	case *gatewayv1.Route:
		for n, host := range spec.GetHosts() {
			if !isHostPattern(host) {
				faults = append(faults, faultf(ErrInvalid, fmt.Sprintf("hosts[%d]", n), "%q is no host name, nor one behind `*.`", host))
			}
		}
		for _, field := range [][2]string{
			{"path.exact", spec.GetPath().GetExact()},
			{"path.prefix", spec.GetPath().GetPrefix()},
			{"prefix_rewrite", spec.GetPrefixRewrite()},
		} {
			if strings.ContainsFunc(field[1], func(r rune) bool { return r <= ' ' || r == 0x7f }) {
				faults = append(faults, faultf(ErrInvalid, field[0], "must not hold spaces or control characters"))
			}
		}
	case *gatewayv1.Cluster:
		for n, address := range spec.GetStatic().GetAddresses() {
			if !isAddress(address) {
				faults = append(faults, notAnAddress(fmt.Sprintf("static.addresses[%d]", n), address))
			}
		}
	case *configstorev1.Instance:
		if !isAddress(spec.GetAddress()) {
			faults = append(faults, notAnAddress("address", spec.GetAddress()))
		}
		if kitex := spec.GetKitexAddress(); kitex != "" && !isAddress(kitex) {
			faults = append(faults, notAnAddress("kitex_address", kitex))
		}
	}
	return faults
}

func notAnAddress(path, address string) *Fault {
	return faultf(ErrInvalid, path, "%q is neither host:port nor unix:/path", address)
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
