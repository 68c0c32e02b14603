package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// supervisor runs a server until its standard input closes, as it does when
// this process ends in whatever way.
const supervisor = `
trap '' HUP INT TERM
bin=$1 dir=$2
"$bin/initdb" -D "$dir/data" -U bench -A trust -E UTF8 --locale=C --no-instructions >/dev/null || exit
"$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c max_connections=400 &
server=$!
cat >/dev/null
kill -QUIT $server
wait $server
`

// postgres is a server with its defaults, fsync among them.
type postgres struct {
	url, version string
	dir          string
	command      *exec.Cmd
	lifeline     io.Closer
}

func startPostgres(parent string) (*postgres, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		return nil, errors.Join(err, errors.New("no PostgreSQL server is installed: run `apt-get install postgresql`"))
	}
	sort.Strings(found)
	dir := filepath.Join(parent, "postgres")
	args := []string{"/bin/sh", "-c", supervisor, "sh", found[len(found)-1], dir}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if os.Getuid() == 0 { // the server refuses to run as root
		args = append([]string{"runuser", "-u", "postgres", "--"}, args...)
		if out, err := exec.CommandContext(context.Background(), "chown", "postgres", dir).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("chown: %w: %s", err, out)
		}
		if err := os.Chmod(parent, 0o755); err != nil { //nolint:gosec // the server must get to its folder
			return nil, err
		}
	}
	s := &postgres{dir: dir, command: exec.CommandContext(context.Background(), args[0], args[1:]...)}
	s.command.Dir, s.command.Stderr = "/", io.Discard
	input, err := s.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	s.lifeline = input
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	address := url.URL{Scheme: "postgres", User: url.User("bench"), Path: "/postgres", RawQuery: "host=" + url.QueryEscape(dir)}
	s.url = address.String()
	return s, s.await()
}

// await returns when the server answers.
func (s *postgres) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, s.url)
		if err == nil {
			s.version = "PostgreSQL " + strings.Fields(conn.PgConn().ParameterStatus("server_version"))[0]
			return conn.Close(ctx)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return errors.Join(err, s.close())
		}
	}
}

func (s *postgres) close() error {
	err := s.lifeline.Close()
	_ = s.command.Wait() // it was told to end
	return err
}

// cpu is what the server and its children have used, those that ended too, in
// the kernel's ticks of 10 ms.
func (s *postgres) cpu() time.Duration {
	pid, err := os.ReadFile(filepath.Join(s.dir, "data", "postmaster.pid"))
	if err != nil {
		return 0
	}
	master, _, _ := strings.Cut(string(pid), "\n")
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0
	}
	ticks := int64(0)
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		own, rest, _ := strings.Cut(string(text), " (")
		fields := strings.Fields(rest[strings.LastIndexByte(rest, ')')+1:])
		if len(fields) < 15 || own != master && fields[1] != master {
			continue
		}
		counted := fields[11:13] // user and system
		if own == master {
			counted = fields[11:15] // and its children's that ended
		}
		for _, field := range counted {
			n, err := strconv.ParseInt(field, 10, 64)
			if err == nil {
				ticks += n
			}
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}
