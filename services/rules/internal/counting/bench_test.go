package counting

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/mq"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

// BenchmarkConfirmed counts events and waits for the embedded broker, by so
// many callers at once.
func BenchmarkConfirmed(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			server, err := mq.NewServer(mq.ServerConfig{DataDir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = server.Close() }()
			client, err := mq.Connect(b.Context(), mq.ClientConfig{Server: server})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = client.Close() }()
			journal, err := client.Journal(b.Context(), mq.JournalConfig{Name: "rules_velocity"})
			if err != nil {
				b.Fatal(err)
			}
			r := begin(b, b.TempDir(), journal, nil)
			var next atomic.Int64
			b.SetParallelism(callers)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					r.count(fmt.Sprint("card", next.Add(1)), true, "")
					if err := r.Confirm(context.Background()); err != nil {
						b.Error(err)
						return
					}
				}
			})
			b.StopTimer()
			r.stop()
		})
	}
}

// FuzzReplay gives the replay entries that nobody wrote.
func FuzzReplay(f *testing.F) {
	store := velocity.New(velocity.Config{Secret: []byte(secret)})
	group := store.Declare("s", []velocity.Spec{{Of: "amount", Kind: velocity.Sum, By: "card", Window: time.Hour}})[0]
	op := velocity.Op{Group: group, By: "a", Samples: []velocity.Sample{{OK: true, Value: 5, Unit: "CNY"}}, Readings: make([]velocity.Reading, 1)}
	var record velocity.Record
	if !store.Record(&op, &record) {
		f.Fatal("no record")
	}
	entry, err := proto.Marshal(batchToProto(store, "epoch", []position{{1, record}, {2, record}}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(entry)
	f.Fuzz(func(_ *testing.T, data []byte) {
		into := velocity.New(velocity.Config{Secret: []byte(secret)})
		r := &replayer{store: into, wanted: func(uint64, string, uint64, int) bool { return true }}
		_ = r.apply(mq.Entry{Sequence: 1, Data: data}) // an error is as good
		var request rulesv1.CountRequest
		if proto.Unmarshal(data, &request) == nil {
			counts := &Counts{Store: into}
			counts.cluster = newCluster(counts)
			if translations, err := translate(into, request.GetTables(), 0); err == nil {
				for _, question := range request.GetQuestions() {
					NewServer(counts).answer(question, translations)
				}
			}
		}
	})
}
