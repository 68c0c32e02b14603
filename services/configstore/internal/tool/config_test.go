package tool

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/kit/tool"
)

const shop = `kind: Cluster
name: shop
spec:
  static: {addresses: ["127.0.0.1:3000"]}
---
kind: Route
name: shop
spec:
  path: {prefix: /shop/}
  cluster: shop
`

// write makes a file of configuration.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// script runs commands, and checks exit code and a part of what was printed.
type script func(code int, want string, args ...string) (out string)

func scripted(t *testing.T) script {
	_, run := house(t)
	return func(code int, want string, args ...string) string {
		t.Helper()
		got, out, errs := run(append([]string{"config"}, args...)...)
		if got != code || !strings.Contains(out+errs, want) {
			t.Errorf("%v: code %d, want %d and %q\n%s%s", args, got, code, want, out, errs)
		}
		return out
	}
}

func TestFilesAreAppliedComparedAndPruned(t *testing.T) {
	do := scripted(t)
	dir := t.TempDir()
	write(t, dir, "shop.yaml", shop)
	write(t, dir, "notes.txt", "no configuration")
	do(tool.ExitFaults, "+++ Route shop (then)", "diff", dir, "--set", "web")
	do(tool.ExitOK, "all is well with 2 changes; nothing was written", "apply", dir, "--set", "web", "--dry-run")
	do(tool.ExitUsage, "object not found", "get", "cluster", "shop")
	do(tool.ExitOK, "added    Route shop\nrelease ", "apply", dir, "--set", "web", "--reason", "first")
	do(tool.ExitOK, "nothing differs", "apply", dir, "--set", "web")
	do(tool.ExitOK, "127.0.0.1:3000", "get", "cluster", "shop")
	do(tool.ExitOK, "shop", "get", "--table", "route")
	do(tool.ExitOK, "backlot.gateway.v1.Route", "kinds")
	export := do(tool.ExitOK, "kind: Route", "get")
	if other := write(t, t.TempDir(), "export.yaml", export); true {
		do(tool.ExitOK, "", "diff", other)
	}
	write(t, dir, "shop.yaml", strings.Split(shop, "---\n")[0])
	do(tool.ExitFaults, "+++ /dev/null", "diff", dir, "--set", "web")
	do(tool.ExitOK, "deleted  Route shop", "apply", dir, "--set", "web")
	fromInput = strings.Replace(shop, "3000", "4000", 1)
	do(tool.ExitOK, "changed  Cluster shop", "apply", "-")
	do(tool.ExitUsage, "Cluster shop is in standard input and in ", "apply", "-", write(t, dir, "again.yaml", shop))
	fromInput = strings.Replace(shop, "cluster: shop", "cluster: shops", 1)
	do(tool.ExitUsage, "changes[1].put.spec.cluster", "apply", "-")
	fromInput = "kind: Nothing\nname: a\n"
	do(tool.ExitUsage, "standard input:1: kind: \"Nothing\" is none of", "apply", "-")
	do(tool.ExitUsage, "want files", "apply")
	do(tool.ExitUsage, "kind", "get", "nothing")
}

func TestReleasesAreShownAndTakenBack(t *testing.T) {
	do := scripted(t)
	dir := t.TempDir()
	file := write(t, dir, "shop.yaml", shop)
	out := do(tool.ExitOK, "", "apply", file, "--reason", "first")
	first := regexp.MustCompile(`revision (\d+)`).FindStringSubmatch(out)[1]
	write(t, dir, "shop.yaml", strings.Replace(shop, "3000", "4000", 1))
	out = do(tool.ExitOK, "changed  Cluster shop", "apply", file, "--reason", "second")
	release := regexp.MustCompile(`release (\S+), revision (\d+)`).FindStringSubmatch(out)
	do(tool.ExitOK, "Cluster shop and 1 more", "history")
	do(tool.ExitOK, "-      - 127.0.0.1:3000\n+      - 127.0.0.1:4000", "history", "cluster", "shop", "--diff")
	do(tool.ExitOK, "older ones are not shown", "history", "cluster", "shop", "--limit", "1")
	do(tool.ExitOK, "1 object would change back", "rollback", release[1], "--dry-run")
	do(tool.ExitOK, "1 object\n", "rollback", release[1])
	do(tool.ExitOK, "127.0.0.1:3000", "get", "cluster", "shop")
	do(tool.ExitUsage, "over_later", "rollback", release[1])
	do(tool.ExitOK, "127.0.0.1:4000", "get", "cluster", "shop", "--revision", release[2])
	do(tool.ExitOK, "release ", "rollback", "cluster", "shop", "--revision", release[2])
	do(tool.ExitOK, "127.0.0.1:4000", "get", "cluster", "shop")
	do(tool.ExitUsage, "want a RELEASE", "rollback", "cluster", "shop")

	changed := "-      - 127.0.0.1:3000\n+      - 127.0.0.1:4000"
	do(tool.ExitOK, "--- Cluster shop (revision "+first+")\n+++ Cluster shop (revision "+release[2]+")", "history", "cluster", "shop", "--from", first, "--to", release[2])
	do(tool.ExitOK, changed, "history", "cluster", "shop", "--from", first, "--to", release[2])
	do(tool.ExitOK, "-      - 127.0.0.1:4000\n+      - 127.0.0.1:3000", "history", "cluster", "shop", "--from", release[2], "--to", first)
	do(tool.ExitOK, "+++ Cluster shop (now)\n", "history", "cluster", "shop", "--from", first)
	do(tool.ExitOK, "--- /dev/null", "history", "cluster", "shop", "--from", "1")
	if same := do(tool.ExitOK, "", "history", "cluster", "shop", "--from", release[2]); same != "" {
		t.Errorf("nothing differs, and it says %q", same)
	}
	do(tool.ExitUsage, "neither revision", "history", "cluster", "none", "--from", first)
	do(tool.ExitUsage, "out of range", "history", "cluster", "shop", "--from", "1000000")
	do(tool.ExitUsage, "KIND and NAME", "history", "--from", first)
	do(tool.ExitUsage, "--from", "history", "cluster", "shop", "--to", first)
}

func TestDraftsAreMadeShownAndReleased(t *testing.T) {
	do := scripted(t)
	file := write(t, t.TempDir(), "shop.yaml", shop)
	do(tool.ExitUsage, "--draft needs --reason", "apply", "--draft", file)
	out := do(tool.ExitOK, "draft ", "apply", "--draft", "--reason", "new shop", file)
	id := regexp.MustCompile(`draft (\S+)`).FindStringSubmatch(out)[1]
	do(tool.ExitUsage, "object not found", "get", "cluster", "shop")
	do(tool.ExitOK, "new shop", "draft")
	do(tool.ExitOK, "+++ Cluster shop (then)", "draft", "show", id)
	do(tool.ExitUsage, "cannot review it", "draft", "approve", id)
	do(tool.ExitOK, "2 objects", "draft", "release", id)
	do(tool.ExitOK, "shop", "get", "cluster", "shop")
	do(tool.ExitUsage, "not found", "draft", "show", id)
	do(tool.ExitUsage, "want nothing, or one of", "draft", "burn", id)
}

func TestEditorIsOpenedAgainUntilAllIsWell(t *testing.T) {
	do := scripted(t)
	dir := t.TempDir()
	do(tool.ExitOK, "", "apply", write(t, dir, "shop.yaml", shop))
	script := write(t, dir, "editor.sh", `#!/bin/sh
if grep -q '^# ' "$1"; then grep '^# ' "$1" > `+dir+`/said; sed -i s/addresse/addresses/ "$1"; else sed -i 's/addresses/addresse/; s/3000/5000/' "$1"; fi
`)
	if err := os.Chmod(script, 0o700); err != nil { //nolint:gosec // it is to run
		t.Fatal(err)
	}
	editor = script
	do(tool.ExitOK, "changed  Cluster shop", "edit", "cluster", "shop")
	do(tool.ExitOK, "127.0.0.1:5000", "get", "cluster", "shop")
	if said, err := os.ReadFile(filepath.Join(dir, "said")); err != nil || !strings.Contains(string(said), `addresse: unknown field`) {
		t.Errorf("the editor was told %q, %v", said, err)
	}
	editor = "true"
	do(tool.ExitOK, "nothing was changed", "edit", "cluster", "shop")
	editor = "false"
	do(tool.ExitUsage, "exit status 1", "edit", "cluster", "shop")
}

func TestEtcdTakesFlagsOnly(t *testing.T) {
	if err := etcdVerb().Raw([]string{"grpc-proxy", "start"}, nil); err == nil {
		t.Error("etcd's other commands are run")
	}
}
