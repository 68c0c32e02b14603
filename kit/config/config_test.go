package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/config"
)

type fields struct {
	dir     string
	listen  string
	wait    time.Duration
	limit   int64
	workers int
	key     string
}

func newSet(f *fields) *config.Set {
	set := config.New("test")
	set.String(&f.dir, "data-dir", "./data", "`folder` for data")
	sub := set.Sub("settlement")
	sub.String(&f.listen, "listen", "127.0.0.1:1", "`address`")
	sub.Duration(&f.wait, "wait", time.Second, "how long")
	sub.Size(&f.limit, "max-bytes", 8<<20, "limit")
	sub.Int(&f.workers, "workers", 2, "how many")
	sub.Secret(&f.key, "key", "a secret")
	return set
}

func TestFlagBeatsEnvironmentBeatsFileBeatsDefault(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	content := "data_dir: /file\nsettlement:\n  listen: file:1\n  wait: 3s\n  max_bytes: 1GiB\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	var f fields
	rest, err := newSet(&f).Parse(
		[]string{"up", "--data-dir", "/flag", "--config=" + path, "more"},
		[]string{"BACKLOT_DATA_DIR=/env", "BACKLOT_SETTLEMENT_LISTEN=env:1"},
	)
	if err != nil {
		t.Fatal(err)
	}
	want := fields{dir: "/flag", listen: "env:1", wait: 3 * time.Second, limit: 1 << 30, workers: 2}
	if f != want {
		t.Errorf("got %+v, want %+v", f, want)
	}
	if strings.Join(rest, " ") != "up more" {
		t.Errorf("rest = %q", rest)
	}
}

func TestAllFaultsAreReportedAtOnceWithoutSecrets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	content := "settlement:\n  wiat: 3s\n  workers: many\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	var f fields
	_, err := newSet(&f).Parse([]string{"--config", path}, []string{"BACKLOT_SETTLEMENT_MAX_BYTES=lots"})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"did you mean settlement.wait?", "settlement.workers", "BACKLOT_SETTLEMENT_MAX_BYTES", `"lots" is no size`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
}

func TestUnknownFlagNamesTheNearest(t *testing.T) {
	var f fields
	_, err := newSet(&f).Parse([]string{"--data-dri=x"}, nil)
	if err == nil || !strings.Contains(err.Error(), "did you mean data-dir?") {
		t.Errorf("err = %v", err)
	}
	if _, err := newSet(&f).Parse([]string{"--help"}, nil); !errors.Is(err, config.ErrHelp) {
		t.Errorf("err = %v, want ErrHelp", err)
	}
}

func TestHelpShowsDefaultsAndGroups(t *testing.T) {
	var f fields
	var text strings.Builder
	if err := newSet(&f).WriteHelp(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"--data-dir folder", "(default ./data)", "\nsettlement\n", "(default 8MiB)", "BACKLOT_DATA_DIR"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("help lacks %q:\n%s", want, text.String())
		}
	}
}

func TestHelpKeepsTheDeclaredDefaultAfterParse(t *testing.T) {
	var f fields
	set := newSet(&f)
	if _, err := set.Parse([]string{"--settlement.max-bytes=1KiB"}, nil); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := set.WriteHelp(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "(default 8MiB)") {
		t.Errorf("help shows the parsed value:\n%s", text.String())
	}
}

func FuzzFile(f *testing.F) {
	f.Add("settlement:\n  workers: 3\n")
	f.Add("a: [1, 2]\nb: &x {c: d}\ne: *x\n")
	f.Fuzz(func(t *testing.T, content string) {
		path := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		var values fields
		_, err := newSet(&values).Parse([]string{"--config", path}, nil)
		if err == nil && values.limit < 0 {
			t.Errorf("negative size %d accepted", values.limit)
		}
	})
}
