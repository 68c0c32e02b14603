package schema_test

import (
	"strings"
	"testing"
	"time"

	"buf.build/go/protovalidate"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/backlot-video/backlot/kit/schema"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
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

// booked is n transfers, the last of which is changed.
func booked(n int, change func(*settlementv1.NewTransfer)) *settlementv1.CreateTransfersRequest {
	request := new(settlementv1.CreateTransfersRequest)
	for range n {
		posting := func(account string, side settlementv1.Side) *settlementv1.NewPosting {
			return &settlementv1.NewPosting{AccountId: account, Side: side, Amount: &moneyv1.Money{Minor: 100, Currency: "USD"}}
		}
		request.Transfers = append(request.Transfers, &settlementv1.NewTransfer{
			ClientId: "client-1", Type: "play_2", Currency: "USD", Postings: []*settlementv1.NewPosting{
				posting("a", settlementv1.Side_SIDE_DEBIT), posting("b", settlementv1.Side_SIDE_CREDIT),
			},
		})
	}
	if change != nil {
		change(request.GetTransfers()[n-1])
	}
	return request
}

var nested = structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{structpb.NewStringValue("s"), structpb.NewNullValue()}})

// submitted is a global transaction of two branches, changed.
func submitted(change func(*coordinatorv1.SubmitRequest)) *coordinatorv1.SubmitRequest {
	branch := func(id string) *coordinatorv1.BranchSpec {
		call := func(phase string) *coordinatorv1.HttpCall {
			return &coordinatorv1.HttpCall{Url: "http://10.0.0.1/" + phase}
		}
		return &coordinatorv1.BranchSpec{BranchId: id, Http: &coordinatorv1.HttpBranch{Try: call("try"), Confirm: call("confirm"), Cancel: call("cancel")}}
	}
	request := &coordinatorv1.SubmitRequest{Xid: "x", Branches: []*coordinatorv1.BranchSpec{branch("a"), branch("b")}}
	if change != nil {
		change(request)
	}
	return request
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
		"transfers":            {booked(3, nil), ""},
		"no client id":         {booked(3, func(t *settlementv1.NewTransfer) { t.ClientId = "" }), "transfers[2].client_id"},
		"type":                 {booked(1, func(t *settlementv1.NewTransfer) { t.Type = "Play" }), "transfers[0].type"},
		"currency":             {booked(1, func(t *settlementv1.NewTransfer) { t.Currency = "USDX" }), "transfers[0].currency"},
		"currency inside":      {booked(1, func(t *settlementv1.NewTransfer) { t.Postings[1].Amount.Currency = "us" }), "postings[1].amount.currency"},
		"no amount":            {booked(2, func(t *settlementv1.NewTransfer) { t.Postings[0].Amount = nil }), "postings[0].amount"},
		"no side":              {booked(2, func(t *settlementv1.NewTransfer) { t.Postings[0].Side = 0 }), "postings[0].side"},
		"unknown side":         {booked(2, func(t *settlementv1.NewTransfer) { t.Postings[0].Side = 7 }), "postings[0].side"},
		"one posting":          {booked(2, func(t *settlementv1.NewTransfer) { t.Postings = t.Postings[:1] }), "transfers[1].postings"},
		"time":                 {booked(1, func(t *settlementv1.NewTransfer) { t.Timeout = durationpb.New(time.Second) }), ""},
		"no time":              {booked(1, func(t *settlementv1.NewTransfer) { t.Timeout = durationpb.New(0) }), "transfers[0].timeout"},
		"no transfers":         {&settlementv1.CreateTransfersRequest{}, "transfers"},
		"empty amount":         {booked(1, func(t *settlementv1.NewTransfer) { t.Postings[0].Amount = new(moneyv1.Money) }), "postings[0].amount.currency"},
		"reference":            {booked(1, func(t *settlementv1.NewTransfer) { t.Reference = strings.Repeat("ä", 128) }), ""},
		"submitted":            {submitted(nil), ""},
		"nested body":          {submitted(func(s *coordinatorv1.SubmitRequest) { s.Branches[1].Http.Try.Body = nested }), ""},
		"branch":               {submitted(func(s *coordinatorv1.SubmitRequest) { s.Branches[1].BranchId = "B" }), "branches[1].branch_id"},
		"long address":         {submitted(func(s *coordinatorv1.SubmitRequest) { s.Branches[1].Http.Try.Url = strings.Repeat("u", 2049) }), "branches[1].http.try.url"},
		"most bytes":           {submitted(func(s *coordinatorv1.SubmitRequest) { s.Branches[0].Http.Try.RawBody = strings.Repeat("ä", 32768) }), ""},
		"too many bytes":       {submitted(func(s *coordinatorv1.SubmitRequest) { s.Branches[0].Http.Try.RawBody = strings.Repeat("ä", 32769) }), "branches[0].http.try.raw_body"},
		"most attempts":        {submitted(func(s *coordinatorv1.SubmitRequest) { s.Policy = &coordinatorv1.CallPolicy{Attempts: 10000} }), ""},
		"too many attempts":    {submitted(func(s *coordinatorv1.SubmitRequest) { s.Policy = &coordinatorv1.CallPolicy{Attempts: 10001} }), "policy.attempts"},
		"long reference":       {booked(1, func(t *settlementv1.NewTransfer) { t.Reference = strings.Repeat("ä", 129) }), "transfers[0].reference"},
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
	for _, m := range []proto.Message{addresses("a:1", ""), within(durationpb.New(-1)), labelled(map[string]string{"team": "play"}), booked(2, nil), submitted(nil)} {
		raw, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, m := range []proto.Message{new(gatewayv1.Cluster), new(gatewayv1.Route), new(configstorev1.ApplyRequest), new(settlementv1.CreateTransfersRequest), new(coordinatorv1.SubmitRequest)} {
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
		"CreateTransfersRequest": booked(64, nil), "SubmitRequest": submitted(nil),
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
