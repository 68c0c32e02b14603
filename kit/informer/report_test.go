package informer_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backlot-video/backlot/kit/informer"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1/configstorev1connect"
)

// desk takes reports.
type desk struct {
	configstorev1connect.UnimplementedAcknowledgementServiceHandler
	mu      sync.Mutex
	reports []*configstorev1.Report
	down    error
}

func (d *desk) Acknowledge(_ context.Context, request *configstorev1.AcknowledgeRequest) (*configstorev1.AcknowledgeResponse, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reports = append(d.reports, request.GetReport())
	return &configstorev1.AcknowledgeResponse{}, d.down
}

func (d *desk) set(down error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = down
}

// take returns the reports since the last call.
func (d *desk) take() []*configstorev1.Report {
	d.mu.Lock()
	defer d.mu.Unlock()
	taken := d.reports
	d.reports = nil
	return taken
}

// direct calls a handler without a network, which synctest cannot wait for.
type direct struct{ http.Handler }

func (d direct) Do(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result(), nil
}

// reporting runs a reporter over a source, and an informer that consumes it.
func reporting(t *testing.T, source informer.Source, d *desk, handler func(informer.Event[word]) error) *informer.Reporter {
	_, served := configstorev1connect.NewAcknowledgementServiceHandler(d)
	r := informer.NewReporter(&configstorev1.Subscriber{Id: "rules-1"}, time.Now(), slog.New(slog.DiscardHandler), direct{served}, "http://desk")
	ctx, cancel := context.WithCancel(t.Context())
	words := informer.New[word](r.Source(source), kind, informer.Config{})
	words.Consume(handler)
	var running sync.WaitGroup
	running.Go(func() { _ = r.Run(ctx) })
	running.Go(func() { _ = words.Run(ctx) })
	t.Cleanup(func() { cancel(); running.Wait() })
	return r
}

func TestWhatIsRejectedIsReportedOnceAndTakenBackWhenItIsMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, d := informer.NewStatic(), &desk{}
		source.Put(kind, "", "good", text("a"))
		reporting(t, source, d, func(e informer.Event[word]) error {
			if e.Type != informer.Deleted && e.Object.Spec.GetValue() == "bad" {
				return errors.New(strings.Repeat("bad ", 200))
			}
			return nil
		})
		rejected := func(step string, want int, revision int64) []*configstorev1.Rejection {
			t.Helper()
			time.Sleep(time.Second)
			synctest.Wait()
			reports := d.take()
			if len(reports) != 1 {
				t.Fatalf("%s: %d reports, want 1", step, len(reports))
			}
			a := reports[0].GetKinds()[0]
			if a.GetKind() != kind || a.GetRevision() != revision || len(a.GetRejected()) != want {
				t.Fatalf("%s: %v", step, a)
			}
			return a.GetRejected()
		}
		rejected("at first", 0, 2)
		source.Put(kind, "", "one", text("bad"))
		source.Put(kind, "", "two", wrapperspb.String("fine"))
		if r := rejected("by the handler", 1, 4)[0]; r.GetName() != "one" || r.GetRevision() != 3 || len(r.GetReason()) > 512 {
			t.Errorf("by the handler: %v", r)
		}
		source.Put(kind, "", "new", wrapperspb.Bytes([]byte{0xff}))  // is no text
		source.Put(kind, "", "good", wrapperspb.Bytes([]byte{0xff})) // stays as it was
		rejected("by the decoder too", 3, 6)
		source.Put(kind, "", "one", text("better"))
		source.Delete(kind, "", "new")
		if r := rejected("mended", 1, 8)[0]; r.GetName() != "good" || r.GetRevision() != 6 {
			t.Errorf("mended: %v", r)
		}
		source.Put(kind, "", "good", text("b"))
		rejected("all", 0, 9)
	})
}

func TestReportsGoOnWhileNothingChangesAndAfterFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source, d := informer.NewStatic(), &desk{}
		r := reporting(t, source, d, func(informer.Event[word]) error { return nil })
		r.Count(func() informer.Health { return informer.Health{Name: "rpc", Good: 7, Bad: 1, P99: time.Millisecond} })
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		reports := d.take()
		// One at the start, and one every ten seconds: bookmarks are no news.
		if len(reports) < 6 || len(reports) > 8 {
			t.Errorf("%d reports in a minute", len(reports))
		}
		last := reports[len(reports)-1]
		if h := last.GetHealth(); len(h) != 1 || h[0].GetGood() != 7 || h[0].GetBad() != 1 || h[0].GetP99().AsDuration() != time.Millisecond {
			t.Errorf("health: %v", h)
		}
		d.set(errors.New("down"))
		time.Sleep(20 * time.Second)
		synctest.Wait()
		d.set(nil)
		source.Put(kind, "", "a", text("a"))
		time.Sleep(time.Second)
		synctest.Wait()
		all := d.take()
		if now := all[len(all)-1]; now.GetKinds()[0].GetRevision() != 2 || now.GetSequence() <= last.GetSequence() {
			t.Errorf("after a failure: %v", now)
		}
	})
}
