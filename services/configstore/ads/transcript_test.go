package ads

import (
	"bytes"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
)

var update = flag.Bool("update", false, "write what is said into testdata")

// TestTranscripts plays what clients say, in lines that begin with >, and
// compares what they are answered.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no transcripts", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(raw))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if got != string(raw) {
				t.Errorf("got\n%s\nwant\n%s", got, raw)
			}
		})
	}
}

func play(t *testing.T, script string) string {
	t.Helper()
	p := &player{t: t}
	for line := range strings.Lines(script) {
		line = strings.TrimSuffix(line, "\n")
		command, is := strings.CutPrefix(line, "> ")
		if is {
			fmt.Fprintln(&p.out, line)
			p.do(strings.Fields(command))
		} else if line == "" || strings.HasPrefix(line, "#") {
			fmt.Fprintln(&p.out, line)
		}
	}
	return p.out.String()
}

// player is a server with one client.
type player struct {
	t        *testing.T
	out      bytes.Buffer
	snapshot *Snapshot
	number   uint64
	stream   *stream
	nonces   map[string]string // last, by type
}

func typeOf(label string) string {
	for k, known := range labels {
		if known == label {
			return typeURLs[k]
		}
	}
	return label
}

func (p *player) do(words []string) {
	p.t.Helper()
	rest := words[1:]
	switch words[0] {
	case "state", "delta":
		log := slog.New(slog.NewTextHandler(&p.out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			if a.Key == "version" {
				a.Value = slog.StringValue(number(a.Value.String()))
			}
			return a
		}}))
		p.stream, p.nonces = newStream(log, newMetrics(nil), words[0] == "delta"), map[string]string{}
	case "snapshot":
		p.number++
		p.snapshot, _ = Next(p.snapshot, rest[0], p.number, parse(rest[1:]))
	case "want":
		p.say(rest[0], "", rest[1:], nil, nil, "")
	case "resume":
		had := map[string]string{}
		for name, version := range pairs(rest[1]) {
			had[name] = NewResource(typeOf(rest[0]), name, []byte(version)).Version
		}
		p.say(rest[0], "", rest[2:], nil, had, "")
	case "ack":
		for _, label := range rest {
			p.say(label, p.nonces[typeOf(label)], p.kept(label), nil, nil, "")
		}
	case "nack":
		p.say(rest[0], p.nonces[typeOf(rest[0])], p.kept(rest[0]), nil, nil, strings.Join(rest[1:], " "))
	case "stale":
		p.say(rest[0], "long ago", rest[1:], nil, nil, "")
	case "names": // state of the world
		p.say(rest[0], p.nonces[typeOf(rest[0])], rest[1:], nil, nil, "")
	case "more":
		p.say(rest[0], "", rest[1:], nil, nil, "")
	case "less":
		p.say(rest[0], "", nil, rest[1:], nil, "")
	default:
		p.t.Fatalf("unknown command %q", words)
	}
	if p.snapshot != nil && p.stream != nil {
		for _, r := range p.stream.responses(p.snapshot) {
			p.answered(r)
		}
	}
}

// kept are the names that an answer, state of the world, repeats.
func (p *player) kept(label string) []string {
	k, _ := kindOf(typeOf(label))
	if sub := p.stream.types[k]; sub != nil && !p.stream.delta {
		return sub.names
	}
	return nil
}

func (p *player) say(label, nonce string, names, less []string, had map[string]string, fault string) {
	var detail *rpcstatus.Status
	if fault != "" {
		detail = &rpcstatus.Status{Message: fault}
	}
	node := &corev3.Node{Id: "node-1"}
	if p.stream.delta {
		p.stream.take(&discoveryv3.DeltaDiscoveryRequest{
			Node: node, TypeUrl: typeOf(label), ResponseNonce: nonce, ResourceNamesSubscribe: names,
			ResourceNamesUnsubscribe: less, InitialResourceVersions: had, ErrorDetail: detail,
		})
		return
	}
	p.stream.take(&discoveryv3.DiscoveryRequest{Node: node, TypeUrl: typeOf(label), ResponseNonce: nonce, ResourceNames: names, ErrorDetail: detail})
}

func number(version string) string {
	n, _, _ := strings.Cut(version, "-")
	if strings.HasSuffix(version, "+") {
		n += "+"
	}
	return "v" + n
}

// answered decodes a response as a client does.
func (p *player) answered(r response) {
	p.t.Helper()
	raw := append(r.head(nil), r.shared...)
	var resources, removed []string
	var version, typeURL, nonce string
	if r.delta {
		message := new(discoveryv3.DeltaDiscoveryResponse)
		if err := proto.Unmarshal(raw, message); err != nil {
			p.t.Fatal(err)
		}
		for _, one := range message.GetResources() {
			if one.GetVersion() == "" || one.GetResource().GetTypeUrl() != message.GetTypeUrl() {
				p.t.Errorf("resource %v", one)
			}
			resources = append(resources, content(message.GetTypeUrl(), one.GetResource().GetValue()))
		}
		version, typeURL, nonce, removed = message.GetSystemVersionInfo(), message.GetTypeUrl(), message.GetNonce(), message.GetRemovedResources()
	} else {
		message := new(discoveryv3.DiscoveryResponse)
		if err := proto.Unmarshal(raw, message); err != nil {
			p.t.Fatal(err)
		}
		for _, one := range message.GetResources() {
			resources = append(resources, content(typeURL, one.GetValue()))
		}
		version, typeURL, nonce = message.GetVersionInfo(), message.GetTypeUrl(), message.GetNonce()
	}
	p.nonces[typeURL] = nonce
	k, _ := kindOf(typeURL)
	line := labels[k] + " " + number(version)
	if k != manifests {
		line += " [" + strings.Join(resources, " ") + "]"
	}
	if len(removed) > 0 {
		line += " without " + strings.Join(removed, " ")
	}
	fmt.Fprintln(&p.out, line)
}

func content(typeURL string, body []byte) string {
	if typeURL == ManifestType {
		return ""
	}
	return string(body)
}

// parse reads `cluster=a:1,b:2 route=edge:1`. A resource's body is its name
// and what is behind the colon.
func parse(words []string) map[string][]*Resource {
	all := map[string][]*Resource{}
	for _, word := range words {
		label, list, _ := strings.Cut(word, "=")
		for name, version := range pairs(list) {
			all[typeOf(label)] = append(all[typeOf(label)], NewResource(typeOf(label), name, []byte(version)))
		}
	}
	return all
}

func pairs(list string) map[string]string {
	all := map[string]string{}
	for _, one := range strings.FieldsFunc(list, func(c rune) bool { return c == ',' }) {
		name, version, _ := strings.Cut(one, ":")
		all[name] = name + version
	}
	return all
}
