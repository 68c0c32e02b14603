package participant

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
)

// AllowList says which addresses may be called by plain HTTP. The zero value
// allows none. It never changes.
type AllowList struct{ prefixes []prefix }

// prefix allows a scheme, a host with its port, and paths at or below path.
type prefix struct {
	scheme, host, path string
	text               string // how addresses begin that need no parser
}

// ParseAllowList reads `http://host[:port][/path],...`. It reports all faults
// at once.
func ParseAllowList(text string) (AllowList, error) {
	var list AllowList
	var faults []error
	for entry := range strings.SplitSeq(text, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		parsed, err := parse(entry)
		if err == nil && parsed.RawQuery != "" {
			err = errors.New("it has a query")
		}
		if err != nil {
			faults = append(faults, fmt.Errorf("%q: %w", entry, err))
			continue
		}
		allowed := prefixOf(parsed)
		allowed.text = strings.TrimSuffix(parsed.String(), "/")
		list.prefixes = append(list.prefixes, allowed)
	}
	return list, errors.Join(faults...)
}

// Check returns why an address must not be called, or nil.
func (l AllowList) Check(address string) error {
	for _, allowed := range l.prefixes {
		if allowed.plainly(address) {
			return nil
		}
	}
	parsed, err := parse(address)
	if err != nil {
		return err
	}
	asked := prefixOf(parsed)
	for _, allowed := range l.prefixes {
		if asked.scheme == allowed.scheme && asked.host == allowed.host && below(asked.path, allowed.path) {
			return nil
		}
	}
	return fmt.Errorf("%s://%s%s is not in the coordinator's allow list (--coordinator.http-allow)",
		asked.scheme, asked.host, asked.path)
}

// plainly reports whether an address is the prefix as it is written and a path
// of letters, digits, - and _, which means the same to everybody.
func (p prefix) plainly(address string) bool {
	rest, found := strings.CutPrefix(address, p.text)
	if !found || p.text == "" || rest != "" && rest[0] != '/' {
		return false
	}
	for i := range len(rest) {
		c := rest[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		slash := c == '/' && !strings.HasPrefix(rest[i+1:], "/")
		if !letter && !slash && !('0' <= c && c <= '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// parse reads an absolute http or https URL that means the same to everybody:
// one without user, fragment and ways up.
func parse(address string) (*url.URL, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("it is no URL")
	}
	switch {
	case parsed.Scheme != "http" && parsed.Scheme != "https":
		return nil, errors.New("it does not begin with http:// or https://")
	case parsed.Hostname() == "" || parsed.Opaque != "":
		return nil, errors.New("it names no host")
	case parsed.User != nil:
		return nil, errors.New("it has a user or a password; use headers")
	case parsed.Fragment != "":
		return nil, errors.New("it has a fragment")
	case strings.ContainsAny(parsed.Path, "\\\x00") || parsed.Path != "" && clean(parsed.Path) != parsed.Path:
		return nil, errors.New("its path is not in its shortest form")
	}
	return parsed, nil
}

// clean is path.Clean, which keeps a slash at the end.
func clean(p string) string {
	cleaned := path.Clean("/" + p)
	if strings.HasSuffix(p, "/") && cleaned != "/" {
		cleaned += "/"
	}
	return cleaned
}

func prefixOf(parsed *url.URL) prefix {
	host := strings.ToLower(parsed.Host)
	if parsed.Port() == "" {
		host = strings.TrimSuffix(host, ":") + map[string]string{"http": ":80", "https": ":443"}[parsed.Scheme]
	}
	return prefix{scheme: parsed.Scheme, host: host, path: strings.TrimSuffix(parsed.Path, "/")}
}

// below reports whether a path is another one or lies under it.
func below(p, root string) bool { return p == root || strings.HasPrefix(p, root+"/") }
