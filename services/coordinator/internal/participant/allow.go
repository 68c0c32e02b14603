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
type prefix struct{ scheme, host, path string }

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
		list.prefixes = append(list.prefixes, prefixOf(parsed))
	}
	return list, errors.Join(faults...)
}

// Check returns why an address must not be called, or nil.
func (l AllowList) Check(address string) error {
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
