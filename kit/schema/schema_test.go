package schema_test

import (
	"strings"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/backlot-video/backlot/kit/schema"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func addresses(all ...string) *gatewayv1.Cluster {
	return &gatewayv1.Cluster{Endpoints: &gatewayv1.Cluster_Static{Static: &gatewayv1.StaticEndpoints{Addresses: all}}}
}

func within(d *durationpb.Duration) *gatewayv1.Cluster {
	return &gatewayv1.Cluster{Endpoints: &gatewayv1.Cluster_Service{Service: "s"}, ConnectTimeout: d}
}

func labelled(labels map[string]string) *configstorev1.ApplyRequest {
	return &configstorev1.ApplyRequest{Changes: []*configstorev1.Change{{Change: &configstorev1.Change_Put{Put: &configstorev1.Object{
		Key: &configstorev1.Key{Kind: "Route", Name: "r"}, Labels: labels,
	}}}}}
}

func many(n int) []string { return strings.Fields(strings.Repeat("h:1 ", n)) }

// What is spared is told all the same: as protovalidate alone does.
func TestValidateTellsWhatProtovalidateDoes(t *testing.T) {
	wide := map[string]string{}
	for n := range 33 {
		wide[strings.Repeat("k", n+1)] = ""
	}
	cases := map[string]struct {
		message proto.Message
		broken  string // a part of what is told; empty: nothing is wrong
	}{
		"list":                 {addresses("a:1", "b:2"), ""},
		"empty list":           {addresses(), "give addresses or endpoints"},
		"empty item":           {addresses("a:1", ""), "static.addresses[1]"},
		"longest item":         {addresses(strings.Repeat("x", 512)), ""},
		"too long an item":     {addresses(strings.Repeat("x", 513)), "static.addresses[0]"},
		"item of wide letters": {addresses(strings.Repeat("ä", 512)), ""},
		"too many letters":     {addresses(strings.Repeat("ä", 513)), "static.addresses[0]"},
		"most items":           {addresses(many(1000)...), ""},
		"too many items":       {addresses(many(1001)...), "static.addresses"},
		"no duration":          {within(nil), ""},
		"duration":             {within(durationpb.New(time.Second)), ""},
		"least duration":       {within(durationpb.New(0)), ""},
		"too short":            {within(durationpb.New(-1)), "connect_timeout"},
		"most":                 {within(durationpb.New(time.Minute)), ""},
		"too long":             {within(durationpb.New(time.Minute + 1)), "connect_timeout"},
		"far too long":         {within(&durationpb.Duration{Seconds: 1 << 40}), ""},
		"labels":               {labelled(map[string]string{"team": "play", "tier": ""}), ""},
		"empty label":          {labelled(map[string]string{"": "play"}), "labels"},
		"long label":           {labelled(map[string]string{strings.Repeat("k", 64): "play"}), "labels"},
		"long value":           {labelled(map[string]string{"team": strings.Repeat("v", 257)}), "labels"},
		"too many labels":      {labelled(wide), "labels"},
	}
	for name, test := range cases {
		got, want := text(schema.Validate(test.message)), text(protovalidate.Validate(test.message))
		if got != want {
			t.Errorf("%s: %q, protovalidate alone: %q", name, got, want)
		}
		if name != "far too long" && (test.broken == "") != (got == "") || !strings.Contains(got, test.broken) {
			t.Errorf("%s: %q, want %q", name, got, test.broken)
		}
	}
}

func FuzzValidate(f *testing.F) {
	for _, m := range []proto.Message{addresses("a:1", ""), within(durationpb.New(-1)), labelled(map[string]string{"team": "play"})} {
		raw, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, m := range []proto.Message{new(gatewayv1.Cluster), new(gatewayv1.Route), new(configstorev1.ApplyRequest)} {
			if proto.Unmarshal(raw, m) != nil {
				continue
			}
			if got, want := schema.Validate(m) == nil, protovalidate.Validate(m) == nil; got != want {
				t.Errorf("%v holds: %t, by protovalidate alone %t", m, got, want)
			}
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	for name, m := range map[string]proto.Message{
		"Cluster": addresses("10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080", "10.1.0.4:80"), "ApplyRequest": labelled(map[string]string{"team": "bench"}),
	} {
		for way, validate := range map[string]func(proto.Message) error{
			"ours": schema.Validate, "protovalidate": func(m proto.Message) error { return protovalidate.Validate(m) },
		} {
			b.Run(name+"/"+way, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := validate(m); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
