package databasetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver
)

// PostgresURL is the address of a PostgreSQL server that this test binary
// starts at the first call. It ends with the test binary, however that ends,
// and its files with it. BACKLOT_TEST_POSTGRES_URL names another one instead.
func PostgresURL(t testing.TB) string {
	t.Helper()
	if given := os.Getenv("BACKLOT_TEST_POSTGRES_URL"); given != "" {
		return given
	}
	address, err := startOnce()
	if err != nil {
		t.Fatalf("start PostgreSQL: %v", err)
	}
	return address
}

var startOnce = sync.OnceValues(start)

// supervisor runs the server until its standard input closes, which the kernel
// does when the test binary is gone, and then removes what it left.
const supervisor = `
trap '' HUP INT TERM
bin=$1 dir=$2
end() { rm -rf "$dir"; exit; }
"$bin/initdb" -D "$dir/data" -U backlot -A trust -E UTF8 --locale=C --no-sync --no-instructions || end
"$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c fsync=off \
	-c synchronous_commit=off -c full_page_writes=off -c max_connections=200 -c shared_buffers=32MB &
server=$!
cat >/dev/null
(while :; do kill -QUIT $server; sleep 0.1; done) & # one that starts may miss it
nagging=$!
wait $server
kill -KILL $nagging
end
`

// end of the supervisor's input: kept so that it is not collected and closed.
var lifeline *os.File //nolint:unused // that it lives is its use

func start() (string, error) {
	bin, err := findServer()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "backlot-postgres-")
	if err != nil {
		return "", err
	}
	logged, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return "", err
	}
	defer logged.Close()
	input, output, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer input.Close()
	lifeline = output
	cmd := exec.Command("/bin/sh", "-c", supervisor, "sh", bin, dir)
	cmd.Dir, cmd.Env = dir, []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, logged, logged
	if cmd.SysProcAttr, err = detached(dir); err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // until the end of the test binary
	address := url.URL{Scheme: "postgres", User: url.User("backlot"), Path: "/postgres", RawQuery: "host=" + url.QueryEscape(dir)}
	return address.String(), await(address.String(), logged.Name(), ended)
}

// findServer is the folder of the newest PostgreSQL server's programs.
func findServer() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	if onPath, err := exec.LookPath("postgres"); err == nil && len(found) == 0 {
		found = []string{onPath}
	}
	if len(found) == 0 {
		return "", errors.New("no server is installed: run `apt-get install postgresql`")
	}
	sort.Strings(found)
	return filepath.Dir(found[len(found)-1]), nil
}

// await returns when the server answers.
func await(address, logPath string, ended <-chan error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	db, err := sql.Open("pgx", address)
	if err != nil {
		return err
	}
	defer db.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := db.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("the server ended: %s", tail(logPath))
		case <-ctx.Done():
			return fmt.Errorf("%w: %s", err, tail(logPath))
		case <-tick.C:
		}
	}
}

func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "; ")
}
