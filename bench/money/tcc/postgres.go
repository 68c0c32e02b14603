package tcc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	postgresPort     = "25432"
	postgresAddress  = "127.0.0.1:" + postgresPort
	postgresPassword = "bench" // trusted all the same: DTM needs one
)

// startPostgres makes and runs a cluster with the defaults, fsync on.
func startPostgres(dir string) (*server, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(found) == 0 {
		return nil, errors.Join(err, errors.New("no PostgreSQL server is installed: run `apt-get install postgresql`"))
	}
	sort.Strings(found)
	bin := found[len(found)-1]
	data := filepath.Join(dir, "postgres")
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, err
	}
	attributes := diesWithUs()
	if os.Getuid() == 0 { // it refuses to run as root
		if attributes, err = giveTo("postgres", data); err != nil {
			return nil, err
		}
	}
	initdb := exec.CommandContext(context.Background(), filepath.Join(bin, "initdb"), "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-instructions")
	initdb.Dir, initdb.SysProcAttr = data, attributes
	if output, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, output)
	}
	s, err := start(attributes, dir, "postgres", postgresAddress, nil, filepath.Join(bin, "postgres"), "-D", data, "-p", postgresPort,
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=on", "-c", "max_connections=600")
	if err != nil {
		return nil, err
	}
	return s, awaitPostgres()
}

// awaitPostgres returns when the server that listens also answers.
func awaitPostgres() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, postgresURL())
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return err
		}
	}
}

func giveTo(name, dir string) (*syscall.SysProcAttr, error) {
	account, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.Atoi(account.Uid)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.Atoi(account.Gid)
	if err != nil {
		return nil, err
	}
	return asUser(uint32(uid), uint32(gid)), os.Chown(dir, uid, gid)
}

func postgresURL() string {
	return "postgres://bench:" + postgresPassword + "@" + postgresAddress + "/postgres?sslmode=disable"
}
