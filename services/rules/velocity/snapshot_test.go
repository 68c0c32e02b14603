package velocity

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"
)

// busy is a store with some of everything, and what is read of it.
func busy(t *testing.T, seed uint64, log Log) (*Store, func(*Store) []Reading) {
	t.Helper()
	now := start
	store := New(Config{Clock: func() time.Time { return time.Unix(now, 0) }, Secret: []byte("secret"), Log: log})
	random := rand.New(rand.NewPCG(seed, 3))
	group := store.Declare("s", someSpecs())[0]
	for range 5000 {
		now += random.Int64N(100)
		e := event{at: now - random.Int64N(50), key: strconv.Itoa(random.IntN(40)), unit: []string{"CNY", "USD"}[random.IntN(2)], amount: random.Int64N(1000), value: strconv.Itoa(random.IntN(900)), has: random.IntN(3) > 0}
		op := opOf(store, group, e, true)
		op.Event = uint64(random.IntN(1000))
		store.Run(one(&op))
	}
	return store, func(s *Store) (all []Reading) {
		group := s.Declare("s", someSpecs())[0]
		for key := range 40 {
			for _, unit := range []string{"CNY", "USD"} {
				op := opOf(s, group, event{at: now, key: strconv.Itoa(key), unit: unit, has: true}, false)
				s.Run(one(&op))
				all = append(all, op.Readings...)
			}
		}
		return all
	}
}

func same(a, b []Reading) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

func TestSnapshotsHoldEverything(t *testing.T) {
	store, readAll := busy(t, 1, nil)
	var file bytes.Buffer
	if err := store.Snapshot(&file, []byte("note"), func(p int) uint64 { return uint64(p) * 3 }); err != nil {
		t.Fatal(err)
	}
	restored := New(Config{Clock: store.config.Clock, Secret: []byte("secret")})
	note, marks, err := restored.Restore(bytes.NewReader(file.Bytes()))
	if err != nil || string(note) != "note" || len(marks) != Partitions || marks[7] != 21 {
		t.Fatalf("%q, %v, %v", note, marks, err)
	}
	if want := readAll(store); !same(readAll(restored), want) {
		t.Error("readings differ")
	}
	if a, b := store.Stats(), restored.Stats(); a.Keys != b.Keys || a.Windows != b.Windows {
		t.Errorf("%+v, restored %+v", a, b)
	}
	// An event that was counted before is known after.
	group := restored.Declare("s", someSpecs())[0]
	before := readAll(restored)
	for id := range 1000 {
		for key := range 40 {
			r := Record{}
			op := opOf(restored, group, event{at: start, key: strconv.Itoa(key)}, true)
			op.Event = uint64(id)
			if !restored.Record(&op, &r) || id == 0 {
				continue
			}
			h := keyHash{r.High, r.Low}
			if known := store.shards[h.partition()].events.note(h.event(uint64(id)), 0); known != 0 {
				if restored.shards[h.partition()].events.note(h.event(uint64(id)), 0) != known {
					t.Fatal("an event was forgotten")
				}
			}
		}
	}
	if !same(before, readAll(restored)) {
		t.Error("reading changed something")
	}
}

func TestWindowsThatNoProgramUsesAreDropped(t *testing.T) {
	now := start
	clock := func() time.Time { return time.Unix(now, 0) }
	store := New(Config{Clock: clock, Secret: []byte("secret")})
	day, month := newCounter(store, Events, 24*time.Hour), newCounter(store, Events, 30*24*time.Hour)
	for i := range 1000 {
		day.run(now, strconv.Itoa(i), true, Sample{})
	}
	windows := func() int64 { return store.Stats().Windows }
	again := func() {
		t.Helper()
		var file bytes.Buffer
		if err := store.Snapshot(&file, nil, func(int) uint64 { return 0 }); err != nil {
			t.Fatal(err)
		}
		store = New(Config{Clock: clock, Secret: []byte("secret")})
		if _, _, err := store.Restore(&file); err != nil {
			t.Fatal(err)
		}
		day = newCounter(store, Events, 24*time.Hour)
	}
	again() // month is no longer declared
	now += 25 * 24 * 3600
	again()
	if windows() != 2 {
		t.Errorf("%d windows after 25 days", windows())
	}
	now += 7 * 24 * 3600
	again()
	if windows() != 1 {
		t.Errorf("%d windows after 32 days", windows())
	}
	for i := range 4000 {
		day.run(now, "new"+strconv.Itoa(i), true, Sample{})
	}
	if stats := store.Stats(); stats.Keys > 4100 {
		t.Errorf("keys are kept for a window that nobody reads: %+v", stats)
	}
	_ = month
}

func TestDamagedSnapshotsAreRefused(t *testing.T) {
	store, _ := busy(t, 2, nil)
	var file bytes.Buffer
	if err := store.Snapshot(&file, nil, func(int) uint64 { return 0 }); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(4, 4))
	for range 200 {
		damaged := bytes.Clone(file.Bytes())
		switch random.IntN(3) {
		case 0:
			damaged = damaged[:random.IntN(len(damaged))]
		case 1:
			damaged[random.IntN(len(damaged))] ^= 1 << random.IntN(8)
		default:
			at := random.IntN(len(damaged) - 20)
			random.Shuffle(20, func(i, j int) { damaged[at+i], damaged[at+j] = damaged[at+j], damaged[at+i] })
			if bytes.Equal(damaged, file.Bytes()) {
				continue
			}
		}
		restored := New(Config{Secret: []byte("secret")})
		if _, _, err := restored.Restore(bytes.NewReader(damaged)); !errors.Is(err, ErrSnapshot) {
			t.Fatalf("got %v", err)
		}
		if stats := restored.Stats(); stats.Keys != 0 || stats.Windows != 0 {
			t.Fatalf("something is left: %+v", stats)
		}
	}
	other := New(Config{Secret: []byte("another")})
	if _, _, err := other.Restore(bytes.NewReader(file.Bytes())); !errors.Is(err, ErrSnapshot) {
		t.Errorf("another secret: %v", err)
	}
}

// records is a Log in memory.
type records []Record

func (l *records) Append(r *Record) { *l = append(*l, *r) }

func TestReplayCountsTheSame(t *testing.T) {
	var log records
	store, readAll := busy(t, 3, &log)
	replayed := New(Config{Clock: store.config.Clock, Secret: []byte("secret")})
	replayed.Declare("other", someSpecs()) // so that numbers differ
	replayed.Declare("s", []Spec{{"ip", Distinct, "card", time.Hour}})
	var translations []*Translation
	for _, table := range store.Tables() {
		x, err := replayed.Translate(table, start)
		if err != nil {
			t.Fatal(err)
		}
		translations = append(translations, x)
	}
	for range 2 { // what has an id is counted once
		for i := range log {
			r := translations[log[i].Table].Record(&log[i])
			if r.Event != 0 {
				replayed.Replay(&r)
			}
		}
	}
	for i := range log {
		if log[i].Event == 0 {
			r := translations[0].Record(&log[i])
			replayed.Replay(&r)
		}
	}
	want, got := readAll(store), readAll(replayed)
	for i := range want {
		if want[i].Count != got[i].Count || want[i].Value != got[i].Value || want[i].Distinct != got[i].Distinct {
			t.Fatalf("reading %d: got %+v, want %+v", i, got[i], want[i])
		}
	}
}

func FuzzRestore(f *testing.F) {
	store := New(Config{Secret: []byte("secret")})
	var file bytes.Buffer
	if err := store.Snapshot(&file, nil, func(int) uint64 { return 0 }); err != nil {
		f.Fatal(err)
	}
	f.Add(file.Bytes(), []byte{})
	f.Fuzz(func(t *testing.T, data, content []byte) {
		restored := New(Config{Secret: []byte("secret")})
		if _, _, err := restored.Restore(bytes.NewReader(data)); err != nil && !errors.Is(err, ErrSnapshot) {
			t.Fatal(err)
		}
		var needs tableNeeds
		restored.shards[0].restore(content, 0, &needs)
	})
}
