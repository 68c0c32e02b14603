package ads

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
)

// model is a client that does what the protocol says.
type model struct {
	t     *testing.T
	s     *stream
	delta bool
	all   map[kind]bool
	names map[kind][]string
	has   map[kind]map[string]string // content by name
	open  []response
}

// names that resources of the model have.
var alphabet = []string{"a", "b", "c", "d"}

func (m *model) receive(list []response) {
	for _, r := range list {
		for _, other := range m.open {
			if other.kind == r.kind {
				m.t.Fatalf("two responses of type %s are in flight", labels[r.kind])
			}
		}
		m.open = append(m.open, r)
	}
}

// take applies a response or refuses it.
func (m *model) take(n int, refuse bool) {
	r := m.open[n]
	m.open = slices.Delete(m.open, n, n+1)
	var fault *rpcstatus.Status
	if refuse {
		fault = &rpcstatus.Status{Message: "no"}
	}
	raw := append(r.head(nil), r.shared...)
	if m.delta {
		message := new(discoveryv3.DeltaDiscoveryResponse)
		if err := proto.Unmarshal(raw, message); err != nil {
			m.t.Fatal(err)
		}
		if !refuse {
			for _, one := range message.GetResources() {
				m.keep(r.kind, one.GetName(), string(one.GetResource().GetValue()))
			}
			for _, name := range message.GetRemovedResources() {
				delete(m.has[r.kind], name)
			}
		}
		m.s.take(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURLs[r.kind], ResponseNonce: message.GetNonce(), ErrorDetail: fault})
		return
	}
	message := new(discoveryv3.DiscoveryResponse)
	if err := proto.Unmarshal(raw, message); err != nil {
		m.t.Fatal(err)
	}
	if !refuse {
		if r.kind.full() {
			clear(m.has[r.kind])
		}
		for _, one := range message.GetResources() {
			body := string(one.GetValue())
			m.keep(r.kind, body[:1], body)
		}
	}
	m.s.take(&discoveryv3.DiscoveryRequest{
		TypeUrl: typeURLs[r.kind], ResponseNonce: message.GetNonce(), ErrorDetail: fault, ResourceNames: m.names[r.kind],
	})
}

// keep stores what is still wanted.
func (m *model) keep(k kind, name, body string) {
	if m.wants(k, name) {
		m.has[k][name] = body
	}
}

// subscribe changes what is wanted of a type. A client, state of the world,
// tells of it with its last nonce.
func (m *model) subscribe(k kind, pick byte) {
	name := alphabet[int(pick)%len(alphabet)]
	first := m.s.types[k] == nil
	if first && pick&0x80 != 0 {
		m.all[k] = true
		m.s.take(m.request(k, nil, nil))
		return
	}
	if m.all[k] {
		return
	}
	if slices.Contains(m.names[k], name) && !first {
		m.names[k] = slices.DeleteFunc(m.names[k], func(n string) bool { return n == name })
		delete(m.has[k], name)
		m.s.take(m.request(k, nil, []string{name}))
		return
	}
	m.names[k] = append(m.names[k], name)
	m.s.take(m.request(k, []string{name}, nil))
}

func (m *model) request(k kind, more, less []string) proto.Message {
	if m.delta {
		return &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURLs[k], ResourceNamesSubscribe: more, ResourceNamesUnsubscribe: less}
	}
	nonce := ""
	if sub := m.s.types[k]; sub != nil {
		nonce = sub.nonce
		for _, r := range m.open {
			if r.kind == k {
				nonce = "older" // the client has not seen the newest response yet
			}
		}
	}
	return &discoveryv3.DiscoveryRequest{TypeUrl: typeURLs[k], ResponseNonce: nonce, ResourceNames: m.names[k]}
}

func (m *model) wants(k kind, name string) bool { return m.all[k] || slices.Contains(m.names[k], name) }

// FuzzConverge: whatever happens, a client that answers everything ends with
// what the newest snapshot has of that it wants.
func FuzzConverge(f *testing.F) {
	f.Add(true, []byte{0, 1, 0x14, 0x80, 0x24, 0x80, 1, 2, 3, 1, 4, 9})
	f.Add(false, []byte{0, 1, 0x14, 0x80, 0x24, 0x80, 1, 2, 3, 1, 4, 9})
	f.Fuzz(func(t *testing.T, delta bool, script []byte) {
		if len(script) > 200 {
			return
		}
		m := &model{t: t, delta: delta, all: map[kind]bool{}, names: map[kind][]string{}, has: map[kind]map[string]string{}}
		for k := range kinds {
			m.has[k] = map[string]string{}
		}
		m.s = newStream(slog.New(slog.DiscardHandler), newMetrics(nil), delta)
		var snapshot *Snapshot
		number := uint64(0)
		publish := func(seed byte) {
			number++
			snapshot, _ = Next(snapshot, fmt.Sprint("r", seed%3), number, resourcesOf(seed))
		}
		publish(0)
		for len(script) >= 2 {
			op, arg := script[0], script[1]
			script = script[2:]
			switch op & 0x0f {
			case 0, 1:
				publish(arg)
			case 2, 3, 4:
				m.subscribe(kind(op>>4)%kinds, arg)
			default:
				if len(m.open) > 0 {
					m.take(int(arg)%len(m.open), op&0x0f == 15)
				}
			}
			m.receive(m.s.responses(snapshot))
		}
		publish(0xff) // lifts what is parked, or else it is the same as before
		for range 100 {
			m.receive(m.s.responses(snapshot))
			if len(m.open) == 0 {
				break
			}
			m.take(0, false)
		}
		if len(m.open) > 0 {
			t.Fatal("it does not end")
		}
		m.compare(snapshot)
	})
}

// resourcesOf makes resources by a seed: of each name a version, or none.
func resourcesOf(seed byte) map[string][]*Resource {
	all := map[string][]*Resource{}
	for k := range manifests {
		for n, name := range alphabet {
			if version := (int(seed) >> n) % 5; version > 0 && (int(k)+n+int(seed))%4 > 0 {
				all[typeURLs[k]] = append(all[typeURLs[k]], NewResource(typeURLs[k], name, []byte(fmt.Sprint(name, version))))
			}
		}
	}
	return all
}

func (m *model) compare(snapshot *Snapshot) {
	for k, sub := range m.s.types[:manifests] {
		if sub == nil || sub.refused == snapshot.groups[k] {
			continue
		}
		want := map[string]string{}
		for _, r := range snapshot.groups[k].resources {
			if m.wants(kind(k), r.Name) {
				want[r.Name] = string(r.state[len(r.state)-2:])
			}
		}
		got := maps.Clone(m.has[kind(k)])
		if !m.delta && !kind(k).full() { // that something is gone cannot be said
			maps.DeleteFunc(got, func(name, _ string) bool { return want[name] == "" })
		}
		if !maps.Equal(got, want) {
			m.t.Errorf("%s: client has %v, want %v", labels[k], got, want)
		}
	}
}
