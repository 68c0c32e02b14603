package store_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/storefront/internal/order"
	"github.com/backlot-video/backlot/services/storefront/internal/store"
	"github.com/backlot-video/backlot/services/storefront/internal/video"
)

var now = time.UnixMicro(1_800_000_000_000_000).UTC()

// write runs fn in a transaction that must succeed.
func write(t *testing.T, s *store.Store, fn func(ctx context.Context, tx store.Tx) error) {
	t.Helper()
	if err := s.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func account(id string) store.Account {
	return store.Account{ID: id, TenantID: "main", Role: 2, Email: id + "@x", SecretHash: "h", CreatedAt: now}
}

// shop is a store with a creator, a viewer and a published video.
func shop(t *testing.T, db *database.DB) *store.Store {
	t.Helper()
	s := store.New(db)
	write(t, s, func(ctx context.Context, tx store.Tx) error {
		for _, id := range []string{"creator", "viewer"} {
			if inserted, err := tx.InsertAccount(ctx, account(id)); err != nil || !inserted {
				return errors.Join(err, errors.New("account not inserted"))
			}
		}
		v := video.Video{ID: "video", TenantID: "main", CreatorID: "creator", Title: "T", Tags: []string{"a", "b"}, State: video.Draft, CreatedAt: now}
		if _, err := tx.InsertVideo(ctx, v); err != nil {
			return err
		}
		v.Transcoded(video.Media{Prefix: "main/video/j/", Duration: time.Second, Width: 4, Height: 2}, now)
		if err := v.Publish(money.Amount{Minor: 499, Currency: "USD"}, now); err != nil {
			return err
		}
		return tx.UpdateVideo(ctx, v)
	})
	return s
}

func TestConformance(t *testing.T) {
	databasetest.Each(t, "storefront", func(t *testing.T, db *database.DB) {
		s := shop(t, db)
		t.Run("a video comes back as it was stored", func(t *testing.T) {
			v, err := s.Video(t.Context(), "main", "video")
			if err != nil || v.State != video.Published || v.Price.Minor != 499 || len(v.Tags) != 2 ||
				v.Duration != time.Second || v.MediaPrefix != "main/video/j/" || !v.PublishedAt.Equal(now) {
				t.Errorf("got %+v, %v", v, err)
			}
			if _, err := s.Video(t.Context(), "other", "video"); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("another tenant sees it: %v", err)
			}
			list, err := s.Published(t.Context(), "main", store.LastPage, 10)
			if err != nil || len(list) != 1 {
				t.Errorf("published: %d, %v", len(list), err)
			}
		})
		t.Run("an e-mail address is taken once", func(t *testing.T) {
			write(t, s, func(ctx context.Context, tx store.Tx) error {
				twin := account("twin")
				twin.Email = "viewer@x"
				inserted, err := tx.InsertAccount(ctx, twin)
				if inserted {
					t.Error("a second account has the address")
				}
				return err
			})
		})
		t.Run("views count once", func(t *testing.T) { viewsCountOnce(t, s) })
		t.Run("orders move by compare and set", func(t *testing.T) { ordersMove(t, s) })
		t.Run("entitlements", func(t *testing.T) { entitlements(t, s) })
	})
}

func viewsCountOnce(t *testing.T, s *store.Store) {
	view := store.View{ID: "w", TenantID: "main", ViewerID: "viewer", VideoID: "video", Watched: time.Second, ViewedAt: now}
	for _, want := range []bool{true, false} {
		write(t, s, func(ctx context.Context, tx store.Tx) error {
			inserted, err := tx.InsertView(ctx, view)
			if inserted != want {
				t.Errorf("inserted %t, want %t", inserted, want)
			}
			return err
		})
	}
}

func ordersMove(t *testing.T, s *store.Store) {
	o := order.Order{
		ID: "o1", TenantID: "main", ViewerID: "viewer", VideoID: "video", CreatorID: "creator",
		Price: money.Amount{Minor: 499, Currency: "USD"}, State: order.Pending, IdempotencyKey: "k", CreatedAt: now, UpdatedAt: now,
	}
	for _, want := range []bool{true, false} {
		write(t, s, func(ctx context.Context, tx store.Tx) error {
			inserted, err := tx.InsertOrder(ctx, o)
			if inserted != want {
				t.Errorf("inserted %t, want %t", inserted, want)
			}
			return err
		})
	}
	open, err := s.Unfinished(t.Context(), now, 10)
	if err != nil || len(open) != 1 {
		t.Fatalf("unfinished: %d, %v", len(open), err)
	}
	o.State, o.XID, o.Risk = order.Paying, "o1", []byte("r")
	for _, want := range []bool{true, false} {
		write(t, s, func(ctx context.Context, tx store.Tx) error {
			moved, err := tx.MoveOrder(ctx, o, order.Pending)
			if moved != want {
				t.Errorf("moved %t, want %t", moved, want)
			}
			return err
		})
	}
	got, err := s.Order(t.Context(), "main", "o1")
	if err != nil || got.State != order.Paying || got.XID != "o1" || string(got.Risk) != "r" {
		t.Errorf("got %+v, %v", got, err)
	}
	for viewer, want := range map[string]int{"viewer": 1, "": 1, "other": 0} {
		if list, err := s.Orders(t.Context(), "main", viewer, store.LastPage, 10); err != nil || len(list) != want {
			t.Errorf("orders of %q: %d, %v", viewer, len(list), err)
		}
	}
}

func entitlements(t *testing.T, s *store.Store) {
	if e, err := s.Entitlement(t.Context(), "main", "viewer", "video"); e != nil || err != nil {
		t.Fatalf("got %v, %v", e, err)
	}
	for _, state := range []order.EntitlementState{order.Reserved, order.Granted} {
		write(t, s, func(ctx context.Context, tx store.Tx) error {
			return tx.PutEntitlement(ctx, order.Entitlement{
				TenantID: "main", ViewerID: "viewer", VideoID: "video", OrderID: "o1", State: state, UpdatedAt: now,
			})
		})
	}
	e, err := s.Entitlement(t.Context(), "main", "viewer", "video")
	if err != nil || e == nil || e.State != order.Granted || !e.UpdatedAt.Equal(now) {
		t.Errorf("got %+v, %v", e, err)
	}
	if list, err := s.Entitlements(t.Context(), "main", "viewer", store.LastPage, 10); err != nil || len(list) != 1 {
		t.Errorf("list: %d, %v", len(list), err)
	}
}
