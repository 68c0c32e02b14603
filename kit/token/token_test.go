package token_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/token"
	identityv1 "github.com/backlot-video/backlot/proto/gen/backlot/identity/v1"
)

type fixture struct {
	now      time.Time
	signer   *token.Signer
	verifier *token.Verifier
}

func (f *fixture) clock() time.Time { return f.now }

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{now: time.Unix(1_800_000_000, 0)}
	f.signer = f.open(t, filepath.Join(t.TempDir(), "token.key"))
	f.verifier = token.NewVerifier([]*identityv1.VerificationKey{f.signer.VerificationKey()}, f.clock)
	return f
}

func (f *fixture) open(t testing.TB, path string) *token.Signer {
	t.Helper()
	signer, err := token.OpenSigner(path, "test", f.clock)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func (f *fixture) principal() identity.Principal {
	return identity.Principal{Kind: identity.Viewer, ID: "v1", TenantID: "main", Expires: f.now.Add(time.Hour)}
}

func TestTokenRoundTrip(t *testing.T) {
	f := newFixture(t)
	text, err := f.signer.Token(f.principal())
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.verifier.Token(text)
	if err != nil || got.ID != "v1" || got.Kind != identity.Viewer || !got.Expires.Equal(f.now.Add(time.Hour)) {
		t.Fatalf("got %+v, %v", got, err)
	}
	f.now = f.now.Add(time.Hour + time.Second)
	if _, err := f.verifier.Token(text); !errors.Is(err, token.ErrExpired) {
		t.Errorf("expired token: %v", err)
	}
}

func TestForgedTokensAreRefused(t *testing.T) {
	f := newFixture(t)
	good, err := f.signer.Token(f.principal())
	if err != nil {
		t.Fatal(err)
	}
	other := f.open(t, filepath.Join(t.TempDir(), "other.key"))
	foreign, err := other.Token(f.principal())
	if err != nil {
		t.Fatal(err)
	}
	unsigned, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{
		"sub": "v1", "tenant": "main", "role": "operator", "iss": "test", "exp": f.now.Add(time.Hour).Unix(),
	}).SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	for name, text := range map[string]string{
		"other key": foreign, "no signature": unsigned, "cut": parts[0] + "." + parts[1] + ".", "empty": "",
		"changed": parts[0] + "." + parts[1][:len(parts[1])-2] + "AA." + parts[2], "long": strings.Repeat("a", 5000),
	} {
		if _, err := f.verifier.Token(text); !errors.Is(err, token.ErrForged) && !errors.Is(err, token.ErrMalformed) {
			t.Errorf("%s: err = %v", name, err)
		}
	}
}

func TestServicesGetNoToken(t *testing.T) {
	f := newFixture(t)
	p := f.principal()
	p.Kind = identity.Service
	if _, err := f.signer.Token(p); err == nil {
		t.Error("a service was signed in as a person")
	}
}

func TestMediaGrant(t *testing.T) {
	f := newFixture(t)
	text, err := f.signer.Media(&identityv1.MediaGrant{
		TenantId: "main", VideoId: "v", Prefix: "main/v/j/", ExpiresAt: f.now.Add(time.Minute).UnixMicro(),
	})
	if err != nil {
		t.Fatal(err)
	}
	grant, err := f.verifier.Media(text)
	if err != nil || grant.GetPrefix() != "main/v/j/" {
		t.Fatalf("got %v, %v", grant, err)
	}
	flipped := []byte(text)
	flipped[4] ^= 1
	if _, err := f.verifier.Media(string(flipped)); err == nil {
		t.Error("a changed grant was accepted")
	}
	f.now = f.now.Add(time.Minute)
	if _, err := f.verifier.Media(text); !errors.Is(err, token.ErrExpired) {
		t.Errorf("expired grant: %v", err)
	}
}

func TestKeyFileIsKeptAndPrivate(t *testing.T) {
	f := newFixture(t)
	path := filepath.Join(t.TempDir(), "k")
	first := f.open(t, path)
	if second := f.open(t, path); second.VerificationKey().GetKeyId() != first.VerificationKey().GetKeyId() {
		t.Error("a second start made another key")
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func FuzzVerifier(f *testing.F) {
	fx := newFixture(f)
	signed, err := fx.signer.Token(fx.principal())
	if err != nil {
		f.Fatal(err)
	}
	media, err := fx.signer.Media(&identityv1.MediaGrant{Prefix: "a/", ExpiresAt: 1 << 60})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("x")
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		if text == signed || text == media {
			return
		}
		if _, err := fx.verifier.Token(text); err == nil {
			t.Errorf("accepted %q as a token", text)
		}
		if _, err := fx.verifier.Media(text); err == nil {
			t.Errorf("accepted %q as a media grant", text)
		}
	})
}
