package tool

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/tool"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
)

func verifyVerb() tool.Verb {
	return tool.Verb{
		Name: "verify", About: "recomputes every balance from its postings and walks the hash chain",
		More: `With --offline it reads the files of --data-dir, or the database of --database-url, and needs no
running Backlot. It may run beside one. Keep the hash that it prints elsewhere: a chain whose end
is known cannot be rewritten unseen.`,
		Examples: []string{"verify", "verify --offline --data-dir ./data", "verify --offline --database-url postgres://backlot@db/backlot --json"},
		New:      newVerify,
	}
}

// verification is one run of the verb.
type verification struct {
	remote
	offline, json       bool
	databaseURL, tenant string
	std                 *tool.Stdio
}

func newVerify(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
	v := &verification{std: std}
	v.Register(set)
	set.Bool(&v.offline, "offline", false, "read the database itself")
	set.Secret(&v.databaseURL, "database-url", "PostgreSQL `address` for --offline; empty: SQLite in the data folder")
	set.String(&v.tenant, "tenant", "main", "`id` of the tenant whose books are read with --offline")
	set.Bool(&v.json, "json", false, "print JSON")
	return v.run
}

func (v *verification) run(ctx context.Context, args []string) error {
	if err := want(0, "no arguments")(args); err != nil {
		return err
	}
	report, err := v.report(ctx)
	if err != nil {
		return err
	}
	if err := v.print(report); err != nil {
		return err
	}
	if !report.GetOk() {
		return tool.ErrFaults
	}
	return nil
}

func (v *verification) report(ctx context.Context) (*settlementv1.VerifyLedgerResponse, error) {
	if !v.offline {
		if v.databaseURL != "" {
			return nil, errors.New("--database-url: only with --offline")
		}
		if err := v.SignIn(ctx); err != nil {
			return nil, err
		}
		return v.ledger().VerifyLedger(ctx, &settlementv1.VerifyLedgerRequest{})
	}
	dir := filepath.Join(v.DataDir(), "settlement")
	if v.databaseURL == "" {
		if _, err := os.Stat(filepath.Join(dir, "settlement.db")); err != nil {
			return nil, fmt.Errorf("%w; --data-dir names another folder", err)
		}
	}
	report, err := offline(ctx, dir, v.databaseURL, v.tenant)
	if err != nil && v.databaseURL != "" {
		err = fmt.Errorf("%s: %w", hidden(v.databaseURL), err)
	}
	return report, err
}

func (v *verification) print(report *settlementv1.VerifyLedgerResponse) error {
	if v.json {
		return tool.WriteJSON(v.std.Out, report)
	}
	rows := [][]string{{"LEDGER", "TRANSFERS POSTED", "HASH OF THE LAST"}}
	for _, head := range report.GetHeads() {
		rows = append(rows, []string{head.GetCurrency(), fmt.Sprint(head.GetSequence()), hex.EncodeToString(head.GetHash())})
	}
	if err := tool.WriteTable(v.std.Out, rows); err != nil {
		return err
	}
	verdict := fmt.Sprintf("%d transfers: every balance, sum and hash holds", report.GetTransfers())
	if !report.GetOk() {
		verdict = fmt.Sprintf("%d transfers, %d faults:", report.GetTransfers(), len(report.GetFaults()))
	}
	if _, err := fmt.Fprintln(v.std.Out, verdict); err != nil {
		return err
	}
	for _, fault := range report.GetFaults() {
		if _, err := fmt.Fprintln(v.std.Out, "  "+tool.Printable(fault)); err != nil {
			return err
		}
	}
	return nil
}
