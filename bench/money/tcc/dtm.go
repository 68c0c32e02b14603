package tcc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"
)

const (
	dtmName    = "DTM v1.19.0"
	dtmAddress = "127.0.0.1:36789"
	dtmBase    = "http://" + dtmAddress + "/api/dtmsvr/"
)

// prepareDTM makes DTM's tables.
func prepareDTM(ctx context.Context, dir string) error {
	schema, err := os.ReadFile(filepath.Join(dir, "dtm.sql"))
	if err != nil {
		return err
	}
	conn, err := pgx.Connect(ctx, postgresURL())
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.PgConn().Exec(ctx, string(schema)).ReadAll()
	return err
}

// startDTM runs DTM with its defaults on PostgreSQL.
func startDTM(dir string) (*server, error) {
	return start(diesWithUs(), dir, "dtm", dtmAddress, []string{
		"STORE_DRIVER=postgres", "STORE_HOST=127.0.0.1", "STORE_PORT=" + postgresPort, "STORE_USER=bench",
		"STORE_PASSWORD=" + postgresPassword, "STORE_DB=postgres", "STORE_SCHEMA=public", "LOG_LEVEL=warn",
	}, filepath.Join(dir, "dtm"))
}

// dtm is a TCC transaction as DTM's client drives it: a gid, the beginning,
// for each branch its registration and the call of its Try, and the
// submission, which waits for the end.
func dtm(p *participants) transaction {
	return func(c *client, _ string) error {
		body, err := c.get(dtmBase + "newGid")
		if err != nil {
			return err
		}
		var answer struct{ GID string }
		if err := json.Unmarshal(body, &answer); err != nil {
			return err
		}
		gid := answer.GID
		if err := dtmCall(c, "prepare", fmt.Appendf(nil, `{"gid":%q,"trans_type":"tcc"}`, gid)); err != nil {
			return err
		}
		for _, branch := range []string{"01", "02"} {
			err := dtmCall(c, "registerBranch", fmt.Appendf(nil,
				`{"gid":%q,"trans_type":"tcc","branch_id":%q,"status":"prepared","data":"{}","confirm":%q,"cancel":%q}`,
				gid, branch, p.url("confirm"), p.url("cancel")))
			if err != nil {
				return err
			}
			if _, err := c.post(p.url("try"), []byte("{}")); err != nil {
				return err
			}
		}
		return dtmCall(c, "submit", fmt.Appendf(nil, `{"gid":%q,"trans_type":"tcc","wait_result":true}`, gid))
	}
}

func dtmCall(c *client, operation string, body []byte) error {
	answer, err := c.post(dtmBase+operation, body)
	if err == nil && !bytes.Contains(answer, []byte("SUCCESS")) {
		err = fmt.Errorf("DTM: %s: %s", operation, answer)
	}
	return err
}
