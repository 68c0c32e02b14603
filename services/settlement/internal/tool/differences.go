package tool

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/tool"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
)

func differencesVerb() tool.Verb {
	return tool.Verb{
		Name: "differences", Args: "[close XID]", About: "lists what orders, transactions and transfers do not agree on",
		More:     "Exit code 1 says that there are open ones. `close` says that a person has dealt with one.",
		Examples: []string{"differences", "differences --closed --json", "differences close XID --reason 'paid back by hand'"},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			d := &differences{std: std}
			d.Register(set)
			set.Bool(&d.closed, "closed", false, "list those that are closed, too")
			set.String(&d.reason, "reason", "", "`why` a difference is closed; is kept")
			set.Bool(&d.json, "json", false, "print JSON")
			check := func(args []string) error {
				switch {
				case len(args) == 0:
					return nil
				case len(args) != 2 || args[0] != "close":
					return errors.New("want no arguments, or close XID; try --help")
				case d.reason == "":
					return errors.New("--reason: say why it is closed")
				}
				return nil
			}
			return online(&d.remote, check, d.run)
		},
	}
}

// differences is one run of the verb.
type differences struct {
	remote
	closed, json bool
	reason       string
	std          *tool.Stdio
}

func (d *differences) run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		res, err := d.reconciliation().CloseDifference(ctx, &settlementv1.CloseDifferenceRequest{Xid: args[1], Reason: d.reason})
		if err != nil {
			return err
		}
		if d.json {
			return tool.WriteJSON(d.std.Out, res)
		}
		_, err = fmt.Fprintf(d.std.Out, "%s is closed\n", tool.Printable(args[1]))
		return err
	}
	all := &settlementv1.ListDifferencesResponse{}
	err := pages(func(token string) (string, error) {
		res, err := d.reconciliation().ListDifferences(ctx, &settlementv1.ListDifferencesRequest{PageSize: page, PageToken: token, Closed: d.closed})
		all.Differences = append(all.Differences, res.GetDifferences()...)
		all.Waiting = res.GetWaiting()
		return res.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	if err := d.print(all); err != nil {
		return err
	}
	for _, difference := range all.GetDifferences() {
		if difference.GetClosedAt() == 0 {
			return tool.ErrFaults
		}
	}
	return nil
}

func (d *differences) print(all *settlementv1.ListDifferencesResponse) error {
	if d.json {
		return tool.WriteJSON(d.std.Out, all)
	}
	rows := [][]string{{"XID", "FOUND", "DIFFERS", "ORDER", "TRANSACTION", "TRANSFER", "CLOSED"}}
	for _, difference := range all.GetDifferences() {
		closed := tool.Time(difference.GetClosedAt())
		if by := difference.GetClosedBy(); by != "" {
			closed += " by " + by + ": " + difference.GetReason()
		}
		rows = append(rows, []string{
			difference.GetXid(), tool.Time(difference.GetFoundAt()), strings.Join(difference.GetKinds(), " "),
			amount(difference.GetOrderAmount()), orDash(difference.GetTransactionState()), amount(difference.GetTransferAmount()), closed,
		})
	}
	if len(rows) > 1 {
		if err := tool.WriteTable(d.std.Out, rows); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(d.std.Out, "%d differences, %d sales wait for further facts\n", len(rows)-1, all.GetWaiting())
	return err
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
