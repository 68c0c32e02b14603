package api_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/token"
	identityv1 "github.com/backlot-video/backlot/proto/gen/backlot/identity/v1"
	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	"github.com/backlot-video/backlot/services/storefront/internal/api"
	"github.com/backlot-video/backlot/services/storefront/internal/credential"
	"github.com/backlot-video/backlot/services/storefront/internal/order"
	"github.com/backlot-video/backlot/services/storefront/internal/store"
	"github.com/backlot-video/backlot/services/storefront/internal/video"
)

type bench struct {
	store     *store.Store
	accounts  *api.Accounts
	catalogue *api.Catalogue
	orders    *api.Orders
	verifier  *token.Verifier
	facts     []string
}

// Add keeps the names of facts; the outbox is kit/mq's matter.
func (b *bench) Add(_ context.Context, _ *sql.Tx, _, fact, key string, _ proto.Message) error {
	b.facts = append(b.facts, fact+" "+key)
	return nil
}

func newBench(t *testing.T) *bench {
	t.Helper()
	migrations, err := databasetest.With("storefront", "")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{store: store.New(databasetest.Open(t, databasetest.Config(t, database.SQLite, "storefront"), migrations))}
	signer, err := token.OpenSigner(filepath.Join(t.TempDir(), "k"), "test", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	b.verifier = token.NewVerifier([]*identityv1.VerificationKey{signer.VerificationKey()}, time.Now)
	b.accounts = &api.Accounts{Store: b.store, Passwords: credential.NewPasswords(), Signer: signer, Clock: time.Now, TokenLife: time.Hour}
	b.catalogue = &api.Catalogue{Store: b.store, Outbox: b, Clock: time.Now}
	b.orders = &api.Orders{Store: b.store, Signer: signer, Clock: time.Now, PlaybackLife: time.Hour}
	return b
}

func as(t *testing.T, kind identity.Kind, id string) context.Context {
	t.Helper()
	return identity.With(t.Context(), identity.Principal{Kind: kind, ID: id, TenantID: "main"})
}

// creator signs up and makes a video that is ready.
func (b *bench) creator(t *testing.T) (context.Context, string) {
	t.Helper()
	up, err := b.accounts.SignUp(t.Context(), &storefrontv1.SignUpRequest{
		Role: storefrontv1.Role_ROLE_CREATOR, Email: "Ada@Example.com", Password: "correct horse",
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx := as(t, identity.Creator, up.GetAccount().GetId())
	created, err := b.catalogue.CreateVideo(ctx, &storefrontv1.CreateVideoRequest{Title: "T", ExternalRef: "ref"})
	if err != nil {
		t.Fatal(err)
	}
	id := created.GetVideo().GetId()
	err = b.store.Write(t.Context(), func(ctx context.Context, tx store.Tx) error {
		v, err := tx.Video(ctx, "main", id)
		if err != nil {
			return err
		}
		v.Transcoded(video.Media{Prefix: "main/" + id + "/j/"}, time.Now())
		return tx.UpdateVideo(ctx, v)
	})
	if err != nil {
		t.Fatal(err)
	}
	return ctx, id
}

func usd(minor int64) []*moneyv1.Money { return []*moneyv1.Money{{Minor: minor, Currency: "USD"}} }

// refused checks code and text of an error.
func refused(t *testing.T, err error, code connect.Code, text string) {
	t.Helper()
	if connect.CodeOf(err) != code || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %s with %q", err, code, text)
	}
}

func TestPricesAreRefusedByField(t *testing.T) {
	b := newBench(t)
	ctx, id := b.creator(t)
	for _, c := range []struct {
		prices []*moneyv1.Money
		text   string
	}{
		{usd(-1), "prices[0]: price is not valid: minor must not be below 0"},
		{append(usd(1), &moneyv1.Money{Minor: 1, Currency: "EUR"}), "prices: a video is sold at one price in one currency; got USD and EUR"},
		{[]*moneyv1.Money{{Minor: 1, Currency: "XXY"}}, "prices[0]: price is not valid: currency"},
	} {
		_, err := b.catalogue.PublishVideo(ctx, &storefrontv1.PublishVideoRequest{VideoId: id, Prices: c.prices})
		refused(t, err, connect.CodeInvalidArgument, c.text)
	}
	if got, err := b.catalogue.GetVideo(ctx, &storefrontv1.GetVideoRequest{VideoId: id}); err != nil || got.GetVideo().GetState() != storefrontv1.VideoState_VIDEO_STATE_READY {
		t.Errorf("a refused price left %v, %v", got, err)
	}
	if len(b.facts) > 0 {
		t.Errorf("told %v", b.facts)
	}
}

func TestOnlyTheCreatorSeesAndChangesADraft(t *testing.T) {
	b := newBench(t)
	ctx, id := b.creator(t)
	other := as(t, identity.Creator, "other")
	_, err := b.catalogue.PublishVideo(other, &storefrontv1.PublishVideoRequest{VideoId: id, Prices: usd(1)})
	refused(t, err, connect.CodeNotFound, "video_id")
	_, err = b.catalogue.GetVideo(other, &storefrontv1.GetVideoRequest{VideoId: id})
	refused(t, err, connect.CodeNotFound, "video_id")

	again, err := b.catalogue.CreateVideo(ctx, &storefrontv1.CreateVideoRequest{Title: "T", ExternalRef: "ref"})
	if err != nil || again.GetVideo().GetId() != id {
		t.Errorf("a repeat made %v, %v", again, err)
	}
	if _, err := b.catalogue.PublishVideo(ctx, &storefrontv1.PublishVideoRequest{VideoId: id, Prices: usd(1)}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.catalogue.GetVideo(other, &storefrontv1.GetVideoRequest{VideoId: id}); err != nil {
		t.Errorf("a published video is hidden: %v", err)
	}
	if len(b.facts) != 1 || b.facts[0] != "video_published "+id {
		t.Errorf("told %v", b.facts)
	}
}

func TestSignIn(t *testing.T) {
	b := newBench(t)
	b.creator(t)
	credential := func(email, password string) *storefrontv1.SignInRequest {
		return &storefrontv1.SignInRequest{Credential: &storefrontv1.SignInRequest_Password{
			Password: &storefrontv1.PasswordCredential{Email: email, Password: password},
		}}
	}
	in, err := b.accounts.SignIn(t.Context(), credential("ada@example.com", "correct horse"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.verifier.Token(in.GetToken().GetAccessToken())
	if err != nil || p.Kind != identity.Creator || p.ID != in.GetAccount().GetId() {
		t.Errorf("token is of %+v, %v", p, err)
	}
	for _, c := range [][2]string{{"ada@example.com", "wrong"}, {"nobody@example.com", "correct horse"}} {
		_, err := b.accounts.SignIn(t.Context(), credential(c[0], c[1]))
		refused(t, err, connect.CodeUnauthenticated, "credential")
	}
	_, err = b.accounts.SignUp(t.Context(), &storefrontv1.SignUpRequest{Role: storefrontv1.Role_ROLE_VIEWER, Email: "ADA@example.com", Password: "x"})
	refused(t, err, connect.CodeAlreadyExists, "email")

	if err := b.accounts.EnsureOperator(t.Context(), "the operator's key"); err != nil {
		t.Fatal(err)
	}
	key := func(text string) *storefrontv1.SignInRequest {
		return &storefrontv1.SignInRequest{Credential: &storefrontv1.SignInRequest_OperatorKey{OperatorKey: text}}
	}
	if _, err := b.accounts.SignIn(t.Context(), key("the operator's key")); err != nil {
		t.Error(err)
	}
	_, err = b.accounts.SignIn(t.Context(), key("another key"))
	refused(t, err, connect.CodeUnauthenticated, "credential")
}

func TestImportedAccountsAreMadeOnce(t *testing.T) {
	b := newBench(t)
	request := &storefrontv1.ImportAccountsRequest{Accounts: []*storefrontv1.ImportedAccount{
		{ExternalRef: "a", Role: storefrontv1.Role_ROLE_VIEWER}, {ExternalRef: "b", Role: storefrontv1.Role_ROLE_VIEWER},
	}}
	first, err := b.accounts.ImportAccounts(as(t, identity.Operator, "op"), request)
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.accounts.ImportAccounts(as(t, identity.Operator, "op"), request)
	if err != nil || second.GetAccounts()[1].GetId() != first.GetAccounts()[1].GetId() {
		t.Errorf("a repeat made %v, %v", second, err)
	}
}

func TestViewsCountOnceAndForOneselfOnly(t *testing.T) {
	b := newBench(t)
	_, id := b.creator(t)
	viewer := as(t, identity.Viewer, "v")
	request := &storefrontv1.RecordViewsRequest{Views: []*storefrontv1.View{{Id: "w1", VideoId: id, Watched: 5}, {VideoId: id}}}
	got, err := b.catalogue.RecordViews(viewer, request)
	if err != nil || got.GetRecorded() != 2 {
		t.Fatalf("got %v, %v", got, err)
	}
	if got, err = b.catalogue.RecordViews(viewer, request); err != nil || got.GetRecorded() != 1 {
		t.Errorf("a repeat recorded %v, %v", got, err)
	}
	if len(b.facts) != 2 || b.facts[0] != "videos_viewed v" {
		t.Errorf("told %v", b.facts)
	}
	_, err = b.catalogue.RecordViews(viewer, &storefrontv1.RecordViewsRequest{Views: []*storefrontv1.View{{VideoId: id, ViewerId: "x"}}})
	refused(t, err, connect.CodeInvalidArgument, "views[0].viewer_id")
	_, err = b.catalogue.RecordViews(viewer, &storefrontv1.RecordViewsRequest{Views: []*storefrontv1.View{{VideoId: id}, {VideoId: "none"}}})
	refused(t, err, connect.CodeNotFound, "views[1].video_id")
}

func TestPlaybackNeedsAnEntitlement(t *testing.T) {
	b := newBench(t)
	creator, id := b.creator(t)
	if _, err := b.catalogue.PublishVideo(creator, &storefrontv1.PublishVideoRequest{VideoId: id, Prices: usd(499)}); err != nil {
		t.Fatal(err)
	}
	viewer := as(t, identity.Viewer, "v")
	request := &storefrontv1.CreatePlaybackRequest{VideoId: id}
	_, err := b.orders.CreatePlayback(viewer, request)
	refused(t, err, connect.CodePermissionDenied, "buy the video")
	_, err = b.orders.CreatePlayback(viewer, &storefrontv1.CreatePlaybackRequest{VideoId: "none"})
	refused(t, err, connect.CodeNotFound, "video_id")

	err = b.store.Write(t.Context(), func(ctx context.Context, tx store.Tx) error {
		return tx.PutEntitlement(ctx, order.Entitlement{TenantID: "main", ViewerID: "v", VideoID: id, OrderID: "o", State: order.Granted, UpdatedAt: time.Now()})
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.catalogue.WithdrawVideo(creator, &storefrontv1.WithdrawVideoRequest{VideoId: id}); err != nil {
		t.Fatal(err)
	}
	got, err := b.orders.CreatePlayback(viewer, request)
	if err != nil {
		t.Fatalf("who bought a video lost it by its withdrawal: %v", err)
	}
	signed := strings.Split(got.GetPath(), "/")[2]
	grant, err := b.verifier.Media(signed)
	if err != nil || grant.GetPrefix() != "main/"+id+"/j/" || grant.GetViewerId() != "v" {
		t.Errorf("grant %v, %v", grant, err)
	}
	_, err = b.orders.CreatePlayback(as(t, identity.Viewer, "w"), request)
	refused(t, err, connect.CodeNotFound, "video_id")
}

func TestListsShowTheirOwn(t *testing.T) {
	b := newBench(t)
	viewer := as(t, identity.Viewer, "v")
	_, err := b.orders.ListOrders(viewer, &storefrontv1.ListOrdersRequest{ViewerId: "x"})
	refused(t, err, connect.CodeInvalidArgument, "viewer_id")
	_, err = b.orders.GetOrder(viewer, &storefrontv1.GetOrderRequest{OrderId: "none"})
	refused(t, err, connect.CodeNotFound, "order_id")
	_, err = b.catalogue.ListVideos(viewer, &storefrontv1.ListVideosRequest{CreatorId: "c"})
	refused(t, err, connect.CodeInvalidArgument, "creator_id")
}
