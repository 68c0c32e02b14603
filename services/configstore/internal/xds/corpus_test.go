package xds

import (
	"bytes"
	"compress/gzip"
	"flag"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

// The corpus is random valid configurations with what they are rendered to.
// The gateway's tests read it and compare what it makes of the resources with
// what the objects mean: neither service may import the other.
const corpusFile = "../../../gateway/internal/xds/testdata/corpus.gz"

var corpusTypes = []string{
	"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret",
	"type.googleapis.com/envoy.config.cluster.v3.Cluster",
	"type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
	"type.googleapis.com/envoy.config.listener.v3.Listener",
	"type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
}

var (
	corpusOut   = flag.String("corpus.out", "", "write a corpus to this `file` instead of comparing")
	corpusCases = flag.Int("corpus.cases", 60, "`number` of configurations in the corpus")
	corpusSeed  = flag.Uint64("corpus.seed", 1, "`seed` of the corpus")
)

// TestCorpusIsWhatIsRendered fails where the committed corpus is not what is
// rendered today: run it with -corpus.out=$PWD/services/gateway/internal/xds/testdata/corpus.gz
// and look at what the gateway's tests say to it.
func TestCorpusIsWhatIsRendered(t *testing.T) {
	corpus := writeCorpus(t, *corpusCases, *corpusSeed)
	if *corpusOut != "" {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		if _, err := w.Write(corpus); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(*corpusOut, packed.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	file, err := os.Open(corpusFile)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	committed, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(corpus, committed) {
		t.Errorf("%s is not what is rendered; write it anew with -corpus.out", corpusFile)
	}
}

// writeCorpus gives, for each case, the objects and a response of each type,
// each with its length.
func writeCorpus(t *testing.T, cases int, seed uint64) []byte {
	t.Helper()
	kinds := object.NewKinds()
	builtin, err := kinds.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range builtin {
		if err := kinds.Register(kind); err != nil {
			t.Fatal(err)
		}
	}
	var corpus []byte
	put := func(m proto.Message) {
		raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		corpus = protowire.AppendBytes(corpus, raw)
	}
	for n := range cases {
		g := &maker{rand.New(rand.NewPCG(seed, uint64(n)))}
		s, objects := newState(), g.objects()
		for _, o := range objects {
			if _, faults := kinds.Check(o.GetKey().GetKind(), o.GetSpec(), ""); len(faults) > 0 {
				t.Fatalf("case %d: %v of %v", n, faults, o)
			}
			if _, err := s.apply(&configstorev1.Event{Type: configstorev1.Event_TYPE_PUT, Object: o}); err != nil {
				t.Fatal(err)
			}
		}
		rendered, err := new(renderer).render(s)
		if err != nil {
			t.Fatalf("case %d: %v", n, err)
		}
		if err := rendered.closed(); err != nil {
			t.Fatalf("case %d: %v", n, err)
		}
		put(&configstorev1.ListResponse{Objects: objects})
		for _, kind := range corpusTypes {
			response := &discoveryv3.DiscoveryResponse{TypeUrl: kind, VersionInfo: "r1"}
			messages := rendered.resources(kind)
			for _, name := range slices.Sorted(maps.Keys(messages)) {
				if err := messages[name].ValidateAll(); err != nil {
					t.Fatalf("case %d: resource %q: %v", n, name, err)
				}
				packed, err := typed(messages[name])
				if err != nil {
					t.Fatal(err)
				}
				response.Resources = append(response.Resources, packed)
			}
			put(response)
		}
	}
	return corpus
}
