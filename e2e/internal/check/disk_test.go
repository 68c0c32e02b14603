package check

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// ledgerFile writes the tables of a ledger with two transfers, and two in a
// block.
func ledgerFile(t *testing.T) (path string, db *sql.DB) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "settlement.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	exec := func(query string, args ...any) {
		t.Helper()
		if _, err := db.ExecContext(context.Background(), query, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE TABLE transfers (tenant_id, ledger, id, type, reference, xid, idempotency_key, split_policy,
		sequence, created_at, ended_at, hash, state, postings, chain_id, expires_at)`)
	exec("CREATE TABLE accounts (number, id)")
	exec("INSERT INTO accounts VALUES (71, 'a'), (72, 'b')")
	exec("CREATE TABLE ledgers (number, tenant_id, currency, sequence, hash)")
	var before []byte
	for i, id := range []string{"t1", "t2"} {
		l := link{ledger: ledgerKey{"main", "USD"}, id: id, kind: "sale", sequence: int64(i + 1), postingsN: 2}
		for line, account := range []string{"a", "b"} {
			l.postings = number(append(text(l.postings, account), byte(line+1)), 5)
		}
		before = l.hashAfter(before)
		exec("INSERT INTO transfers VALUES ('main', 7, ?, 'sale', '', '', '', '', ?, 0, 0, ?, 2, '71d5 72c5', '', 0)", id, i+1, before)
	}
	exec("CREATE TABLE blocks (ledger, sequence, last_id, at, transfers)")
	exec("CREATE TABLE keys (tenant_id, idempotency_key, ledger, sequence)")
	block, steps := []byte{1}, []int{3, 1}
	for i, step := range steps {
		raw := bytes.Repeat([]byte{byte(i)}, 16)
		id := hex.EncodeToString(raw)
		id = strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:]}, "-")
		l := link{ledger: ledgerKey{"main", "USD"}, id: id, kind: "sale", sequence: int64(i + 3), createdAt: 9, endedAt: 9, postingsN: 2, key: id[:3]}
		for line, account := range []string{"a", "b"} {
			l.postings = number(append(text(l.postings, account), byte(line+1)), 5)
		}
		before = l.hashAfter(before)
		block = append(append(block, byte(step)), raw...)
		if i == 0 {
			block = append(append(block, 5), "sale"...)
		} else {
			block = append(block, 0)
		}
		block = append(append(append(block, 0, 0, byte(len(l.key)+1)), l.key...), 0)
		block = append(append(block, before...), 2, 71, 10, 72, 11)
		exec("INSERT INTO keys VALUES ('main', ?, 7, ?)", l.key, l.sequence)
	}
	exec("INSERT INTO blocks VALUES (0, 4, 'x', 9, ?)", block)
	exec("INSERT INTO ledgers VALUES (0, 'main', 'USD', 4, ?)", before)
	exec("UPDATE transfers SET ledger = 0")
	return path, db
}

func TestChainFindsPlantedFaults(t *testing.T) {
	for plant, want := range map[string]string{
		"": "",
		"UPDATE transfers SET postings = '71d6 72c6'": "its content gives",
		"UPDATE transfers SET chain_id = 't1'":        "its content gives",
		"UPDATE transfers SET sequence = 3":           "has place 3 after 0",
		"DELETE FROM transfers WHERE id = 't2'":       "has place 3 after 1",
		"DELETE FROM ledgers":                         "no head",
		"UPDATE blocks SET at = 10":                   "its content gives",
		"DELETE FROM blocks":                          "its last transfer is 2",
		"UPDATE keys SET sequence = 3":                "its key gives place 3, it has 4",
		"DELETE FROM keys":                            "its key gives place 0",
		"UPDATE blocks SET transfers = x'0102'":       "it is cut off",
	} {
		path, db := ledgerFile(t)
		if _, err := db.ExecContext(t.Context(), plant); err != nil {
			t.Fatal(err)
		}
		faults, err := Chain(t.Context(), path)
		if err != nil {
			faults = append(faults, err.Error())
		}
		if found := strings.Join(faults, "\n"); !strings.Contains(found, want) || want == "" && found != "" {
			t.Errorf("%q: found %q, want %q", plant, found, want)
		}
	}
}

func TestOrphansAreFound(t *testing.T) {
	dir := t.TempDir()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "ffmpeg")
	if err := os.Symlink(sleep, name); err != nil {
		t.Fatal(err)
	}
	child := exec.Command(name, "60")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = child.Process.Kill()
		_ = child.Wait()
	})
	if faults := Orphans(dir, os.Getpid()); len(faults) != 0 {
		t.Errorf("a child of the living is no orphan: %q", faults)
	}
	if faults := Orphans(dir); len(faults) != 1 {
		t.Errorf("found %q, want one orphan", faults)
	}
	if faults := Orphans(t.TempDir()); len(faults) != 0 {
		t.Errorf("a process elsewhere is no concern: %q", faults)
	}
}
