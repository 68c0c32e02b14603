package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/kit/tool"
	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/reconcile"
)

func reconcileVerb() tool.Verb {
	return tool.Verb{
		Name: "reconcile", Args: "FILE", About: "compares the books with a settlement file of the payment provider",
		More: `FILE is CSV with a header, or - for the standard input. Each row is a payment: a reference (the
payment's id, or the payout's, whose amount may be written below zero), an amount, a currency, and
perhaps a state. --from and --to say what the file covers: what we have of that time and the file lacks
is a difference. Exit code 1 says that there are differences.`,
		Examples: []string{
			"reconcile january.csv --from 2026-01-01 --to 2026-02-01",
			"reconcile export.csv --columns reference=Order,amount=Gross,currency=Cur,state=Status --settled paid_out --separator ';'",
			"reconcile january.csv --from 2026-01-01 --to 2026-02-01 --format csv > differences.csv",
		},
		New: newReconcile,
	}
}

// reconciling is one run of the verb.
type reconciling struct {
	remote
	span
	columns, separator, settled, failed, key, format string
	minor                                            bool
	std                                              *tool.Stdio

	mapping *settlementv1.ColumnMapping
}

func newReconcile(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
	r := &reconciling{std: std}
	r.Register(set)
	r.register(set, "what the file covers")
	set.String(&r.columns, "columns", "", "which column is what, as `reference=Id,amount=Gross`; what is left out has its own name")
	set.String(&r.separator, "separator", ",", "`sign` between columns; tab for a tabulator")
	set.Bool(&r.minor, "minor-units", false, "amounts are whole minor units (499), not decimal (4.99)")
	set.String(&r.settled, "settled", "", "`states` that mean that money moved, by commas; empty: settled, succeeded, paid")
	set.String(&r.failed, "failed", "", "`states` that mean that it did not, by commas; empty: failed, declined, cancelled")
	set.String(&r.key, "key", "", "idempotency `key`: the same key goes on with the same reconciliation; empty: one that is new")
	set.String(&r.format, "format", "text", "`form` of the output: text, csv or json")
	return online(&r.remote, r.check, r.run)
}

func (r *reconciling) check(args []string) error {
	if err := want(1, "one FILE")(args); err != nil {
		return err
	}
	if r.separator == "tab" {
		r.separator = "\t"
	}
	r.mapping = &settlementv1.ColumnMapping{Separator: r.separator, MinorUnits: r.minor, Settled: list(r.settled), Failed: list(r.failed)}
	fields := map[string]*string{
		"reference": &r.mapping.Reference, "amount": &r.mapping.Amount, "currency": &r.mapping.Currency, "state": &r.mapping.State,
	}
	for _, pair := range list(r.columns) {
		what, name, _ := strings.Cut(pair, "=")
		field, known := fields[strings.TrimSpace(what)]
		if !known || name == "" {
			return fmt.Errorf("--columns: %q is not one of reference=, amount=, currency= or state= and a name", pair)
		}
		*field = name
	}
	return chooseFormat(r.format, "text", "csv", "json")
}

// list parts a text by commas; an empty one is none.
func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

func (r *reconciling) run(ctx context.Context, args []string) error {
	source, name := r.std.In, "standard input"
	if args[0] != "-" {
		file, err := os.Open(args[0])
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		source, name = file, filepath.Base(args[0])
	}
	found, err := r.send(ctx, source, name)
	if err != nil {
		return err
	}
	if err := r.print(ctx, found); err != nil {
		return err
	}
	if found.GetDifferences() > 0 {
		return tool.ErrFaults
	}
	return nil
}

// send brings the file in parts and has it compared.
func (r *reconciling) send(ctx context.Context, source io.Reader, name string) (*settlementv1.Reconciliation, error) {
	from, to, err := r.micros()
	if err != nil {
		return nil, err
	}
	if to == 0 {
		to = time.Now().UnixMicro()
	}
	key, err := newKey(r.key)
	if err != nil {
		return nil, err
	}
	client := r.reconciliation()
	started, err := client.StartReconciliation(ctx, &settlementv1.StartReconciliationRequest{
		Name: name, From: from, To: to, Mapping: r.mapping, IdempotencyKey: key,
	})
	if err != nil {
		return nil, err
	}
	id := started.GetReconciliation().GetId()
	buf := make([]byte, 512<<10)
	for offset := int64(0); ; {
		n, err := io.ReadFull(source, buf)
		if n > 0 {
			_, sendErr := client.AddReconciliationData(ctx, &settlementv1.AddReconciliationDataRequest{
				ReconciliationId: id, Offset: offset, Data: buf[:n],
			})
			if sendErr != nil {
				return nil, sendErr
			}
			offset += int64(n)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	finished, err := client.FinishReconciliation(ctx, &settlementv1.FinishReconciliationRequest{ReconciliationId: id})
	return finished.GetReconciliation(), err
}

// print shows a reconciliation and its differences.
func (r *reconciling) print(ctx context.Context, found *settlementv1.Reconciliation) error {
	all := &settlementv1.ListReconciliationDifferencesResponse{}
	err := pages(func(token string) (string, error) {
		res, err := r.reconciliation().ListReconciliationDifferences(ctx, &settlementv1.ListReconciliationDifferencesRequest{
			ReconciliationId: found.GetId(), PageSize: page, PageToken: token,
		})
		all.Differences = append(all.Differences, res.GetDifferences()...)
		return res.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	report := reportOf(found, all.GetDifferences())
	switch r.format {
	case "json":
		whole, err := tool.JSON(found)
		if err != nil {
			return err
		}
		differences, err := tool.JSON(all)
		if err != nil {
			return err
		}
		return tool.WriteJSON(r.std.Out, map[string]any{"reconciliation": whole, "found": differences})
	case "csv":
		return reconcile.WriteCSV(r.std.Out, report.Differences)
	}
	if _, err := fmt.Fprintf(r.std.Out, "reconciliation %s of %s\n", found.GetId(), tool.Printable(found.GetName())); err != nil {
		return err
	}
	return reconcile.WriteText(r.std.Out, report)
}

func reportOf(found *settlementv1.Reconciliation, differences []*settlementv1.ReconciliationDifference) reconcile.Report {
	of := func(m *moneyv1.Money) money.Amount {
		return money.Amount{Minor: m.GetMinor(), Currency: m.GetCurrency()}
	}
	report := reconcile.Report{Rows: found.GetRows(), Matched: found.GetMatched(), Found: found.GetDifferences()}
	for _, total := range found.GetTotals() {
		report.Totals = append(report.Totals, reconcile.Total{
			Ours: of(total.GetOurs()), Theirs: of(total.GetTheirs()), OurCount: total.GetOurCount(), TheirCount: total.GetTheirCount(),
		})
	}
	for _, d := range differences {
		report.Differences = append(report.Differences, reconcile.Difference{
			Kind: reconcile.Kind(d.GetKind()), Reference: d.GetReference(), Line: int(d.GetLine()), Ours: of(d.GetOurs()), Theirs: of(d.GetTheirs()),
			OurState: d.GetOurState(), TheirState: d.GetTheirState(), TransferID: d.GetTransferId(),
		})
	}
	return report
}

func reconciliationsVerb() tool.Verb {
	return tool.Verb{
		Name: "reconciliations", Args: "[RECONCILIATION]", About: "lists comparisons with settlement files, or shows one",
		Examples: []string{"reconciliations", "reconciliations ID --format csv"},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			r := &reconciling{std: std}
			r.Register(set)
			set.String(&r.format, "format", "text", "`form` of the output: text or json, or csv for one")
			check := func(args []string) error {
				if len(args) > 1 {
					return errors.New("want one RECONCILIATION at most; try --help")
				}
				if len(args) == 0 {
					return chooseFormat(r.format, "text", "json")
				}
				return chooseFormat(r.format, "text", "json", "csv")
			}
			return online(&r.remote, check, r.list)
		},
	}
}

func (r *reconciling) list(ctx context.Context, args []string) error {
	if len(args) == 1 {
		res, err := r.reconciliation().GetReconciliation(ctx, &settlementv1.GetReconciliationRequest{ReconciliationId: args[0]})
		if err != nil {
			return err
		}
		return r.print(ctx, res.GetReconciliation())
	}
	all := &settlementv1.ListReconciliationsResponse{}
	err := pages(func(token string) (string, error) {
		res, err := r.reconciliation().ListReconciliations(ctx, &settlementv1.ListReconciliationsRequest{PageSize: page, PageToken: token})
		all.Reconciliations = append(all.Reconciliations, res.GetReconciliations()...)
		return res.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	if r.format == "json" {
		return tool.WriteJSON(r.std.Out, all)
	}
	rows := [][]string{{"RECONCILIATION", "FILE", "STATE", "STARTED", "ROWS", "AGREE", "DIFFER", "PROBLEM"}}
	for _, found := range all.GetReconciliations() {
		rows = append(rows, []string{
			found.GetId(), found.GetName(), short(found.GetState().String(), "RECONCILIATION_STATE_"), tool.Time(found.GetCreatedAt()),
			fmt.Sprint(found.GetRows()), fmt.Sprint(found.GetMatched()), fmt.Sprint(found.GetDifferences()), found.GetProblem(),
		})
	}
	return tool.WriteTable(r.std.Out, rows)
}
