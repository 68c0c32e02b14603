package intake

import (
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/mq"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	schema "github.com/backlot-video/backlot/sql"

	"github.com/backlot-video/backlot/services/recommender/internal/shelf"
	"github.com/backlot-video/backlot/services/recommender/internal/store"
)

type fixture struct {
	*Intake
	store   *store.Store
	changed []string
	now     time.Time
}

func open(t *testing.T) *fixture {
	t.Helper()
	cfg := databasetest.Config(t, database.SQLite, "recommender")
	db := databasetest.Open(t, cfg, schema.Migrations("recommender"))
	f := &fixture{store: store.New(db)}
	f.Intake = &Intake{DB: db, Log: slog.New(slog.DiscardHandler), Clock: func() time.Time { return f.now }, Changed: func(tenant string) { f.changed = append(f.changed, tenant) }}
	return f
}

func envelope(t *testing.T, second int64, fact proto.Message) *eventv1.Envelope {
	t.Helper()
	data, err := anypb.New(fact)
	if err != nil {
		t.Fatal(err)
	}
	return &eventv1.Envelope{
		Id: uuid.NewString(), TenantId: "main", Type: "backlot.storefront.test.v1",
		OccurredAt: second * int64(time.Second/time.Microsecond), Data: data,
	}
}

func (f *fixture) handle(t *testing.T, envelopes ...*eventv1.Envelope) {
	t.Helper()
	for _, e := range envelopes {
		if err := f.Handle(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

func viewed(viewer string, videos ...string) *storefrontv1.VideosViewed {
	fact := &storefrontv1.VideosViewed{ViewerId: viewer}
	for n, id := range videos {
		fact.Views = append(fact.Views, &storefrontv1.ViewedVideo{VideoId: id, Watched: 5, ViewedAt: int64(n)})
	}
	return fact
}

func TestFactsBecomeACatalogue(t *testing.T) {
	f := open(t)
	withdrawn := envelope(t, 3, &storefrontv1.VideoWithdrawn{VideoId: "y"})
	views := envelope(t, 4, viewed("ann", "x", "y", "x"))
	f.handle(t, envelope(t, 1, &storefrontv1.VideoPublished{VideoId: "x"}), withdrawn,
		envelope(t, 2, &storefrontv1.VideoPublished{VideoId: "y"}), views)
	if len(f.changed) != 4 {
		t.Errorf("%d changes were told, want 4", len(f.changed))
	}
	f.handle(t, views, withdrawn)
	if len(f.changed) != 4 {
		t.Error("a repeated fact was told as a change")
	}
	want := []shelf.Video{{ID: "x", Available: true, Viewers: 1}, {ID: "y", Viewers: 1}}
	if got, err := f.store.Catalogue(t.Context(), "main"); err != nil || !slices.Equal(got, want) {
		t.Errorf("catalogue is %v, %v, want %v", got, err, want)
	}
	if got, err := f.store.History(t.Context(), "main", "ann", 10); err != nil || !slices.Equal(got, []string{"x", "y"}) {
		t.Errorf("history is %v, %v", got, err)
	}
}

func TestOldIdsAreForgotten(t *testing.T) {
	f := open(t)
	f.handle(t, envelope(t, 0, viewed("ann", "x")), envelope(t, 86400, viewed("ann", "y")))
	f.now = time.UnixMicro(0).Add(inboxAge + time.Second)
	if err := f.purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	var left int
	if err := f.DB.Read().QueryRow("SELECT COUNT(*) FROM inbox").Scan(&left); err != nil || left != 1 {
		t.Errorf("%d ids are left, %v, want 1", left, err)
	}
}

func TestUnknownFactsAreErrors(t *testing.T) {
	f := open(t)
	if err := f.Handle(t.Context(), envelope(t, 1, &emptypb.Empty{})); !errors.Is(err, mq.ErrUnknownType) {
		t.Errorf("an unknown fact: %v", err)
	}
	damaged := envelope(t, 1, viewed("ann", "x"))
	damaged.Data.Value = []byte{0xff}
	if err := f.Handle(t.Context(), damaged); err == nil {
		t.Error("a damaged fact was taken")
	}
	if len(f.changed) != 0 {
		t.Error("a change was told")
	}
}
