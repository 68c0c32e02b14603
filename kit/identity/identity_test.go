package identity_test

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/identity"
)

var start = time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC)

func line(fill byte) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(string(fill), 32))) + "\n"
}

func keysAt(t testing.TB, file string, now *time.Time) *identity.Keys {
	t.Helper()
	keys, err := identity.ParseKeys([]byte(file), func() time.Time { return *now })
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func viewer() identity.Principal {
	return identity.Principal{Kind: identity.Viewer, ID: "0190-viewer", TenantID: "main"}
}

func sign(t testing.TB, keys *identity.Keys, p identity.Principal) string {
	t.Helper()
	token, err := keys.Sign(p)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestSignedPrincipalIsVerifiedUntilItExpires(t *testing.T) {
	now := start
	keys := keysAt(t, line('a'), &now)
	for _, test := range []struct {
		name    string
		expires time.Time
		want    time.Time
	}{
		{"no expiry means the longest", time.Time{}, start.Add(identity.MaxLife)},
		{"a later expiry is cut", start.Add(time.Hour), start.Add(identity.MaxLife)},
		{"an earlier one stays", start.Add(time.Second), start.Add(time.Second)},
	} {
		now = start
		p := viewer()
		p.Expires = test.expires
		token := sign(t, keys, p)
		now = test.want.Add(-time.Microsecond)
		p.Expires = test.want
		if got, err := keys.Verify(token); err != nil || got != p {
			t.Errorf("%s: got %+v, %v; want %+v", test.name, got, err, p)
		}
		now = test.want
		if _, err := keys.Verify(token); !errors.Is(err, identity.ErrExpired) {
			t.Errorf("%s: at its end err = %v", test.name, err)
		}
	}
}

func TestVerifyRefusesWhatWasNotSignedHere(t *testing.T) {
	now := start
	keys := keysAt(t, line('a'), &now)
	token := sign(t, keys, viewer())
	payload, signature, _ := strings.Cut(token, ".")
	other := viewer()
	other.ID = "0190-other"
	otherPayload, _, _ := strings.Cut(sign(t, keys, other), ".")
	foreign := sign(t, keysAt(t, line('b'), &now), viewer())
	future := start.Add(3 * identity.MaxLife)
	for _, test := range []struct {
		name, token string
		want        error
	}{
		{"empty", "", identity.ErrMalformed},
		{"no signature", payload, identity.ErrMalformed},
		{"empty signature", payload + ".", identity.ErrForged},
		{"short signature", payload + "." + signature[:20], identity.ErrForged},
		{"another's payload", otherPayload + "." + signature, identity.ErrForged},
		{"another cluster", foreign, identity.ErrForged},
		{"padding", payload + "." + signature + "=", identity.ErrMalformed},
		{"line break", payload + "\n." + signature, identity.ErrMalformed},
		{"too long", strings.Repeat("A", 2000) + "." + signature, identity.ErrMalformed},
		{"from the far future", sign(t, keysAt(t, line('a'), &future), viewer()), identity.ErrInvalid},
	} {
		if got, err := keys.Verify(test.token); !errors.Is(err, test.want) || got != (identity.Principal{}) {
			t.Errorf("%s: got %+v, %v; want %v", test.name, got, err, test.want)
		}
	}
}

func TestSignRefusesWhatVerifyWould(t *testing.T) {
	now := start
	keys := keysAt(t, line('a'), &now)
	for name, spoil := range map[string]func(*identity.Principal){
		"kind is unknown":       func(p *identity.Principal) { p.Kind = 0 },
		"id is empty":           func(p *identity.Principal) { p.ID = "" },
		"id is too long":        func(p *identity.Principal) { p.ID = strings.Repeat("x", 129) },
		"tenant_id is empty":    func(p *identity.Principal) { p.TenantID = "" },
		"tenant_id is too long": func(p *identity.Principal) { p.TenantID = strings.Repeat("x", 65) },
	} {
		p := viewer()
		spoil(&p)
		if _, err := keys.Sign(p); !errors.Is(err, identity.ErrInvalid) || !strings.HasSuffix(err.Error(), name) {
			t.Errorf("%s: err = %v", name, err)
		}
	}
	p := viewer()
	p.Expires = start
	if _, err := keys.Sign(p); !errors.Is(err, identity.ErrExpired) {
		t.Errorf("expired: err = %v", err)
	}
}

func TestKeyIsRotatedByLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cluster.key")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	now := start
	write("# the first\n" + line('a'))
	keys, err := identity.OpenKeys(path, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	old := sign(t, keys, viewer())
	write(line('b') + "\n" + line('a'))
	if err := keys.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Verify(old); err != nil {
		t.Errorf("the old key's token after rotation: %v", err)
	}
	if _, err := keysAt(t, line('b'), &now).Verify(sign(t, keys, viewer())); err != nil {
		t.Errorf("the first line does not sign: %v", err)
	}
	write("not a key\n")
	if err := keys.Reload(); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("reload of a broken file: %v", err)
	}
	if _, err := keys.Verify(old); err != nil {
		t.Errorf("keys are gone after a broken reload: %v", err)
	}
	write(line('b'))
	if err := keys.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Verify(old); !errors.Is(err, identity.ErrForged) {
		t.Errorf("the removed key's token: %v", err)
	}
}

func TestProcessesThatStartAtOnceShareOneKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "cluster.key")
	now := start
	keys := make([]*identity.Keys, 8)
	var opened sync.WaitGroup
	for i := range keys {
		opened.Go(func() {
			var err error
			if keys[i], err = identity.OpenKeys(path, func() time.Time { return now }); err != nil {
				t.Error(err)
			}
		})
	}
	opened.Wait()
	if t.Failed() {
		return
	}
	for _, other := range keys[1:] {
		if _, err := other.Verify(sign(t, keys[0], viewer())); err != nil {
			t.Error(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	if len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

func TestContextCarriesThePrincipal(t *testing.T) {
	if _, ok := identity.From(t.Context()); ok || identity.Tenant(t.Context()) != "main" {
		t.Error("a context of no call has a caller")
	}
	p := viewer()
	p.TenantID = "studio"
	ctx := identity.With(t.Context(), p)
	if got, ok := identity.From(ctx); !ok || got != p || identity.Tenant(ctx) != "studio" {
		t.Errorf("got %+v", got)
	}
}

func FuzzVerify(f *testing.F) {
	now := start
	keys := keysAt(f, line('a'), &now)
	token := sign(f, keys, viewer())
	f.Add(token)
	f.Add(token[1:])
	f.Add(".")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := keys.Verify(text)
		if err == nil && text != token {
			t.Errorf("verified %q as %+v", text, p)
		}
		if err != nil && p != (identity.Principal{}) {
			t.Errorf("refused %q and gave %+v", text, p)
		}
	})
}
