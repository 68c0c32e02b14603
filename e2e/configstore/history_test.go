package configstore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/anishathalye/porcupine"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backlot-video/backlot/e2e/internal/quorum"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

const (
	clients = 8
	kind    = "Word" // of the objects
	pace    = 15 * time.Millisecond
	// Half of the clients wait this long for an answer, the others a fifth of it.
	patience  = 3 * time.Second
	valueSize = 2 << 10 // so that disks fill
)

// traffic is clients that read and write, and what they saw.
type traffic struct {
	quorum *quorum.Quorum
	began  time.Time
	acked  atomic.Int64 // writes that were acknowledged

	mu      sync.Mutex
	history []porcupine.Operation
	codes   map[connect.Code]int // of calls that failed
	first   map[connect.Code]error
}

func newTraffic(q *quorum.Quorum) *traffic {
	return &traffic{quorum: q, began: time.Now(), codes: map[connect.Code]int{}, first: map[connect.Code]error{}}
}

// run is one client, until ctx ends.
func (w *traffic) run(ctx context.Context, id int, seed uint64) {
	random := rand.New(rand.NewPCG(seed, uint64(id)))
	seen := [keys]int64{} // revisions; -1: none, 0: not known
	limit := patience
	if id%2 == 1 {
		limit /= 5
	}
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		in := choose(random, fmt.Sprintf("%d-%d", id, n), &seen)
		member := w.quorum.Members[random.IntN(len(w.quorum.Members))]
		call := time.Since(w.began)
		out, err := ask(member, in, limit)
		w.note(id, in, out, err, call, time.Since(w.began))
		learn(in, out, err, &seen)
	}
}

// choose draws an operation.
func choose(random *rand.Rand, name string, seen *[keys]int64) input {
	in := input{kind: apply, key: random.IntN(keys), reason: name}
	draw := random.IntN(100)
	switch {
	case draw < 25:
		in.kind = get
		return in
	case draw < 35:
		in.kind = each
		return in
	case draw < 45:
		in.kind = list
		return in
	}
	count := 1
	if draw >= 85 {
		count = 2 + random.IntN(keys-2)
	}
	for _, key := range random.Perm(keys)[:count] {
		change := write{key: key, value: fmt.Sprintf("%s.%d", name, key)}
		if random.IntN(6) == 0 {
			change.value = ""
		}
		if random.IntN(2) == 0 {
			change.expected = seen[key]
		}
		in.writes = append(in.writes, change)
	}
	return in
}

// learn remembers what a client was told, for its next writes.
func learn(in input, out output, err error, seen *[keys]int64) {
	known := func(key int, c cell) {
		seen[key] = c.revision
		if c.revision == 0 {
			seen[key] = -1
		}
	}
	switch {
	case err != nil || out.unknown || out.conflict:
	case in.kind == get:
		known(in.key, out.cells[in.key])
	case in.kind == each || in.kind == list:
		for key, c := range out.cells {
			known(key, c)
		}
	default:
		for _, change := range in.writes {
			if known(change.key, cell{}); change.value != "" {
				known(change.key, cell{change.value, out.revision})
			}
		}
	}
}

func (w *traffic) note(id int, in input, out output, err error, call, returned time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		code := connect.CodeOf(err)
		if w.codes[code]++; w.first[code] == nil {
			w.first[code] = err
		}
		if in.kind != apply {
			return // it says nothing
		}
		out.unknown = true
	}
	if in.kind == apply && !out.unknown && !out.conflict {
		w.acked.Add(1)
	}
	w.history = append(w.history, porcupine.Operation{ClientId: id, Input: in, Output: out, Call: int64(call), Return: int64(returned)})
}

// ask carries an operation out at a member.
func ask(m *quorum.Member, in input, limit time.Duration) (out output, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	switch in.kind {
	case get:
		response, err := m.Objects.Get(ctx, &configstorev1.GetRequest{Key: keyOf(in.key)})
		if connect.CodeOf(err) == connect.CodeNotFound {
			return out, nil
		}
		out.cells[in.key] = cellOf(response.GetObject())
		return out, err
	case each:
		return askEach(ctx, m)
	case list:
		response, err := m.Objects.List(ctx, &configstorev1.ListRequest{Kind: kind})
		out.revision = response.GetRevision()
		out.cells = cellsOf(response.GetObjects())
		return out, err
	}
	response, err := m.Objects.Apply(ctx, requestOf(in))
	if code := connect.CodeOf(err); code == connect.CodeAborted || code == connect.CodeAlreadyExists {
		return output{conflict: true}, nil
	}
	return output{release: response.GetRelease().GetId(), revision: response.GetRelease().GetRevision()}, err
}

// askEach reads every object in one call, as kit/configclient does for callers
// that read at the same time.
func askEach(ctx context.Context, m *quorum.Member) (out output, err error) {
	request := new(configstorev1.GetEachRequest)
	for key := range keys {
		request.Requests = append(request.Requests, &configstorev1.GetRequest{Key: keyOf(key)})
	}
	response, err := m.Batches.GetEach(ctx, request)
	if err != nil {
		return out, err
	}
	if got := len(response.GetOutcomes()); got != keys {
		return out, fmt.Errorf("%d outcomes of %d reads", got, keys)
	}
	for key, outcome := range response.GetOutcomes() {
		switch fault := outcome.GetFault(); {
		case fault == nil:
			out.cells[key] = cellOf(outcome.GetResponse().GetObject())
		case connect.Code(fault.GetCode()) != connect.CodeNotFound:
			return out, connect.NewWireError(connect.Code(fault.GetCode()), errors.New(fault.GetMessage()))
		}
	}
	return out, nil
}

func requestOf(in input) *configstorev1.ApplyRequest {
	request := &configstorev1.ApplyRequest{Reason: in.reason}
	for _, w := range in.writes {
		change := &configstorev1.Change{ExpectedRevision: w.expected, Change: &configstorev1.Change_Delete{Delete: keyOf(w.key)}}
		if w.value != "" {
			spec, err := anypb.New(wrapperspb.String(w.value + strings.Repeat(" ", valueSize)))
			if err != nil {
				panic(err) // a string is a message
			}
			change.Change = &configstorev1.Change_Put{Put: &configstorev1.Object{Key: keyOf(w.key), Spec: spec}}
		}
		request.Changes = append(request.Changes, change)
	}
	return request
}

func keyOf(key int) *configstorev1.Key {
	return &configstorev1.Key{Kind: kind, Name: fmt.Sprint("k", key)}
}

func keyIn(key *configstorev1.Key) int { return int(key.GetName()[1] - '0') }

func cellOf(object *configstorev1.Object) cell {
	if object == nil {
		return cell{}
	}
	value := new(wrapperspb.StringValue)
	if err := object.GetSpec().UnmarshalTo(value); err != nil {
		return cell{"no string: " + err.Error(), object.GetRevision()}
	}
	return cell{strings.TrimRight(value.GetValue(), " "), object.GetRevision()}
}

func cellsOf(objects []*configstorev1.Object) (cells [keys]cell) {
	for _, object := range objects {
		cells[keyIn(object.GetKey())] = cellOf(object)
	}
	return cells
}

// done is a release as the store's history tells it.
type done struct {
	id       string
	revision int64
	keys     []int
}

// releases are all, by their reason.
func releases(ctx context.Context, m *quorum.Member) (map[string]done, error) {
	all := map[string]done{}
	for token := ""; ; {
		response, err := m.Objects.ListReleases(ctx, &configstorev1.ListReleasesRequest{PageSize: 500, PageToken: token})
		if err != nil {
			return nil, err
		}
		for _, r := range response.GetReleases() {
			one := done{id: r.GetId(), revision: r.GetRevision()}
			for _, key := range r.GetKeys() {
				one.keys = append(one.keys, keyIn(key))
			}
			slices.Sort(one.keys)
			if _, twice := all[r.GetReason()]; twice {
				return nil, fmt.Errorf("%s was carried out twice", r.GetReason())
			}
			all[r.GetReason()] = one
		}
		if token = response.GetNextPageToken(); token == "" {
			return all, nil
		}
	}
}

// settle decides by the store's own history what became of writes that nobody
// was told about, and finds writes that were told of and are not there.
func settle(history []porcupine.Operation, carriedOut map[string]done) (settled []porcupine.Operation, err error) {
	var faults []error
	left := maps.Clone(carriedOut)
	for _, op := range history {
		in, out := op.Input.(input), op.Output.(output)
		found, there := carriedOut[in.reason]
		delete(left, in.reason)
		switch {
		case in.kind != apply:
		case out.unknown && there:
			op.Output, op.Return = output{release: found.id, revision: found.revision}, math.MaxInt64
		case out.unknown:
			continue
		case there != (out.release != ""):
			faults = append(faults, fmt.Errorf("%s: told %+v, but of the store's releases it is one: %v", in.reason, out, there))
		case there && (out.release != found.id || out.revision != found.revision):
			faults = append(faults, fmt.Errorf("%s: told %+v, the store has %+v", in.reason, out, found))
		}
		settled = append(settled, op)
	}
	for reason := range left {
		faults = append(faults, fmt.Errorf("%s: carried out, but nobody asked", reason))
	}
	return settled, errors.Join(faults...)
}

func TestSettleFindsLostWrites(t *testing.T) {
	in := input{kind: apply, reason: "1"}
	for name, c := range map[string]struct {
		out  output
		have map[string]done
		left int
		ok   bool
	}{
		"acknowledged":          {output{release: "r", revision: 5}, map[string]done{"1": {id: "r", revision: 5}}, 1, true},
		"lost":                  {output{release: "r", revision: 5}, nil, 1, false},
		"elsewhere":             {output{release: "r", revision: 5}, map[string]done{"1": {id: "r", revision: 6}}, 1, false},
		"refused and there":     {output{conflict: true}, map[string]done{"1": {id: "r", revision: 5}}, 1, false},
		"unknown and there":     {output{unknown: true}, map[string]done{"1": {id: "r", revision: 5}}, 1, true},
		"unknown and not there": {output{unknown: true}, nil, 0, true},
		"nobody's":              {output{unknown: true}, map[string]done{"2": {id: "r", revision: 5}}, 0, false},
	} {
		settled, err := settle([]porcupine.Operation{{Input: in, Output: c.out}}, c.have)
		if (err == nil) != c.ok || len(settled) != c.left {
			t.Errorf("%s: %d left, %v", name, len(settled), err)
		}
	}
}
