package tool

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/kit/tool"
)

const secretFile = `kind: Secret
name: tokens
spec:
  jwks: {inline: '{"keys":[{"kty":"oct","k":"PLANTED"}]}'}
`

func TestNoVerbShowsSecrets(t *testing.T) {
	do := scripted(t)
	dir := t.TempDir()
	file := write(t, dir, "tokens.yaml", secretFile)
	var shown strings.Builder
	see := func(code int, want string, args ...string) string {
		t.Helper()
		out := do(code, want, args...)
		shown.WriteString(out)
		return out
	}
	see(tool.ExitFaults, "redacted, SHA-256 ", "diff", file)
	see(tool.ExitOK, "all is well", "apply", file, "--dry-run")
	see(tool.ExitOK, "added    Secret tokens", "apply", file)
	see(tool.ExitOK, "nothing differs", "apply", file)
	exported := see(tool.ExitOK, "redacted, SHA-256 ", "get")
	see(tool.ExitOK, "redacted, SHA-256 ", "get", "secret", "tokens")
	see(tool.ExitOK, "nothing differs", "apply", write(t, dir, "export.yaml", exported))
	write(t, dir, "tokens.yaml", strings.Replace(secretFile, "PLANTED", "PLANTED-2", 1))
	see(tool.ExitFaults, "+    inline: redacted, SHA-256 ", "diff", file)
	drafted := see(tool.ExitOK, "draft ", "apply", file, "--draft", "--reason", "rotate")
	_, id, _ := strings.Cut(strings.TrimSpace(drafted), "draft ")
	see(tool.ExitOK, "redacted, SHA-256 ", "draft", "show", id)
	see(tool.ExitOK, "redacted, SHA-256 ", "draft", "show", id, "--json")
	see(tool.ExitOK, "changed  Secret tokens", "apply", file)
	see(tool.ExitOK, "redacted, SHA-256 ", "history", "secret", "tokens", "--diff")
	see(tool.ExitOK, "redacted, SHA-256 ", "history", "secret", "tokens", "--json")
	if strings.Contains(shown.String(), "PLANTED") {
		t.Errorf("the secret was printed:\n%s", shown.String())
	}
}

func TestKeysAreMadeAndPutInForce(t *testing.T) {
	_, run := house(t)
	file := filepath.Join(t.TempDir(), "secret.key")
	if code, out, errs := run("key", file); code != tool.ExitOK || !strings.Contains(out, "is the newest") {
		t.Fatalf("key: %d\n%s%s", code, out, errs)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := run("key", file); code == tool.ExitOK || !strings.Contains(errs, "chmod 600") {
		t.Errorf("a file that others read: %d %s", code, errs)
	}
	if code, out, errs := run("rekey"); code != tool.ExitOK || !strings.Contains(out, "all secrets are under key ") || !strings.Contains(out, "0 values") {
		t.Errorf("rekey: %d\n%s%s", code, out, errs)
	}
	if code, out, _ := run("rekey", "--json"); code != tool.ExitOK || !strings.Contains(out, `"finished":true`) && !strings.Contains(out, `"finished": true`) {
		t.Errorf("rekey --json: %d\n%s", code, out)
	}
}
