package rpc

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/identity"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

// wrongSigner gives the token that a test wants.
type wrongSigner string

func (s wrongSigner) Sign(identity.Principal) (string, error) { return string(s), nil }

func casePrincipal(t *testing.T, b *bench) {
	var seen atomic.Pointer[identity.Principal]
	record := func(ctx context.Context) (*storefrontv1.GetVideoResponse, error) {
		principal, _ := identity.From(ctx)
		seen.Store(&principal)
		return &storefrontv1.GetVideoResponse{}, nil
	}
	b.onGet(record)
	b.shop.mu.Lock()
	b.shop.list = func(ctx context.Context, _ *storefrontv1.ListVideosRequest) (*storefrontv1.ListVideosResponse, error) {
		_, err := record(ctx)
		return &storefrontv1.ListVideosResponse{}, err
	}
	b.shop.mu.Unlock()
	with := func(signer Signer) func(*ClientConfig) { return func(c *ClientConfig) { c.Signer = signer } }

	ctx := identity.With(t.Context(), identity.Principal{Kind: identity.Viewer, ID: "x", TenantID: "studio"})
	if _, err := get(ctx, b.conn(t, nil)); err != nil {
		t.Fatal(err)
	}
	if p := seen.Load(); p.Kind != identity.Service || p.ID != "tester" || p.TenantID != "studio" {
		t.Errorf("the handler saw %+v", p)
	}
	_, err := get(t.Context(), b.conn(t, with(nil)))
	wantCode(t, err, connect.CodeUnauthenticated)
	if _, err := list(t.Context(), b.conn(t, with(nil))); err != nil {
		t.Errorf("anonymous call: %v", err)
	}
	if p := seen.Load(); p.Kind != identity.Anonymous || p.TenantID != identity.DefaultTenant {
		t.Errorf("the handler saw %+v", p)
	}

	keys := testKeys(t, nil)
	valid, _ := keys.Sign(identity.Principal{Kind: identity.Service, ID: "tester", TenantID: "main"})
	past, _ := testKeys(t, func() time.Time { return time.Now().Add(-time.Hour) }).
		Sign(identity.Principal{Kind: identity.Service, ID: "tester", TenantID: "main"})
	for name, token := range map[string]string{
		"malformed": "x", "expired": past, "forged": valid[:len(valid)-12] + "AAAAAAAAAAAA",
	} {
		_, err := get(t.Context(), b.conn(t, with(wrongSigner(token))))
		if coded := wantCode(t, err, connect.CodeUnauthenticated); !strings.Contains(coded.Message(), "principal: ") {
			t.Errorf("%s: %v", name, err)
		}
		_, err = list(t.Context(), b.conn(t, with(wrongSigner(token))))
		wantCode(t, err, connect.CodeUnauthenticated)
	}
	creator, _ := keys.Sign(identity.Principal{Kind: identity.Creator, ID: "c", TenantID: "main"})
	_, err = get(t.Context(), b.conn(t, with(wrongSigner(creator))))
	if coded := wantCode(t, err, connect.CodePermissionDenied); coded.Message() != "creator may not call Get" {
		t.Errorf("message %q", coded.Message())
	}
}

func caseAsCaller(t *testing.T, b *bench) {
	var seen atomic.Pointer[identity.Principal]
	b.onGet(func(ctx context.Context) (*storefrontv1.GetVideoResponse, error) {
		principal, _ := identity.From(ctx)
		seen.Store(&principal)
		return &storefrontv1.GetVideoResponse{}, nil
	})
	conn := b.conn(t, nil)
	caller := identity.Principal{
		Kind: identity.Viewer, ID: "0190", TenantID: "studio",
		Expires: time.Now().Add(20 * time.Second).UTC().Truncate(time.Microsecond),
	}
	if _, err := get(AsCaller(identity.With(t.Context(), caller)), conn); err != nil {
		t.Fatal(err)
	}
	if p := seen.Load(); *p != caller {
		t.Errorf("the handler saw %+v; want %+v", p, caller)
	}
	_, err := get(AsCaller(t.Context()), conn)
	wantCode(t, err, connect.CodeUnauthenticated)
	caller.Expires = time.Now().Add(-time.Second)
	_, err = get(AsCaller(identity.With(t.Context(), caller)), conn)
	wantCode(t, err, connect.CodeUnauthenticated)
}
