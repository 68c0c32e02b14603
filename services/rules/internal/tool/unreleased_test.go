package tool

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/rules/v1/rulesv1connect"
	"github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1/storefrontv1connect"
	"github.com/backlot-video/backlot/services/rules/internal/api"
	"github.com/backlot-video/backlot/services/rules/internal/catalog"
	"github.com/backlot-video/backlot/services/rules/internal/release"
)

const payment = "backlot.rules.v1.PaymentFact"

// unreleased are rulesets that no release was begun for, by what they are.
var unreleased = map[string]func(*catalog.Catalog, *release.Follower) error{
	"a new installation": func(_ *catalog.Catalog, f *release.Follower) error {
		f.PutRuleset("payments", "7b0c", &rulesv1.Ruleset{FactType: payment, Source: tidy}, false)
		return nil
	},
	"a source that does not compile": func(_ *catalog.Catalog, f *release.Follower) error {
		f.PutRuleset("payments", "7b0c", &rulesv1.Ruleset{FactType: payment, Source: bad}, false)
		return nil
	},
	"a file of the folder rules.dir": func(c *catalog.Catalog, _ *release.Follower) error {
		return c.Put(catalog.Ruleset{Name: "payments", FactType: payment, Version: "51ad", Source: tidy})
	},
	"only drafts": func(_ *catalog.Catalog, f *release.Follower) error {
		f.PutVersion("payments.54d371d7ee2c", &rulesv1.RulesetVersion{Ruleset: "payments", FactType: payment, CreatedAt: 1})
		f.PutVersion("payments.9c1185a5c5e9", &rulesv1.RulesetVersion{Ruleset: "payments", FactType: payment, CreatedAt: 2})
		return nil
	},
	"nothing of that name": func(*catalog.Catalog, *release.Follower) error { return nil },
}

// TestStatusOfWhatWasNeverReleased runs testdata/status.txt: sections
// `-- what --` and what is printed.
func TestStatusOfWhatWasNeverReleased(t *testing.T) {
	path, err := filepath.Abs("testdata/status.txt")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sections := strings.Split(string(text), "-- ")
	got := sections[0]
	for _, section := range sections[1:] {
		what, _, _ := strings.Cut(section, " --\n")
		put := unreleased[what]
		if put == nil {
			t.Fatalf("%s: what is that?", what)
		}
		code, printed := statusOf(t, put)
		got += fmt.Sprintf("-- %s --\n%sexit code %d\n\n", what, printed, code)
	}
	if got = strings.TrimSuffix(got, "\n"); got == string(text) {
		return
	}
	if !*update || os.WriteFile(path, []byte(got), 0o600) != nil {
		t.Errorf("got\n%s\nwant\n%s", got, text)
	}
}

// statusOf prints the status of payments in an installation.
func statusOf(t *testing.T, put func(*catalog.Catalog, *release.Follower) error) (code int, printed string) {
	t.Helper()
	t.Chdir(t.TempDir())
	c := catalog.New(catalog.Config{Dir: t.TempDir(), Clock: time.Now})
	if err := c.AddBuiltin((*rulesv1.PaymentFact)(nil).ProtoReflect().Descriptor()); err != nil {
		t.Fatal(err)
	}
	follower := release.NewFollower(c, time.Now)
	if err := put(c, follower); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(storefrontv1connect.NewAccountServiceHandler(&installation{}))
	mux.Handle(rulesv1connect.NewReleaseServiceHandler(api.NewReleases(&release.Manager{Catalog: c, Follower: follower})))
	server := httptest.NewServer(mux)
	defer server.Close()
	write(t, "key", "secret\n")
	var out bytes.Buffer
	args := []string{"status", "payments", "--gateway", server.URL, "--operator-key", "key"}
	code = Main(t.Context(), args, &Stdio{In: strings.NewReader(""), Out: &out, Err: &out, Program: "backlot rules"})
	return code, out.String()
}
