package tool

import (
	"context"
	"errors"
	"fmt"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/tool"
	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
)

// retryLimit bounds retry --all.
const retryLimit = 10_000

func retryVerb() tool.Verb {
	return tool.Verb{
		Name: "retry", Args: "XID... | --all", About: "calls what is due of parked transactions again",
		More:     "Transactions that are not parked stay as they are. With --all the other flags choose among the parked ones.",
		Examples: []string{"retry order-1", "retry --all --service settlement"},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			r, f, all := &remote{}, &filter{states: "parked"}, false
			r.register(set, std)
			f.register(set)
			set.Bool(&all, "all", false, "retry all parked transactions that the other flags let through")
			var request *coordinatorv1.ListTransactionsRequest
			check := func(args []string) (err error) {
				if all == (len(args) > 0) {
					return errors.New("want XIDs, or --all; try --help")
				}
				request, err = f.request()
				return err
			}
			return r.Online(check, func(ctx context.Context, xids []string) error {
				if all {
					parked, _, err := r.all(ctx, request, retryLimit)
					if err != nil {
						return err
					}
					for _, t := range parked {
						xids = append(xids, t.GetXid())
					}
				}
				return r.retry(ctx, xids)
			})
		},
	}
}

// retry goes on where one fails, and tells each.
func (r *remote) retry(ctx context.Context, xids []string) error {
	faults := false
	all := &coordinatorv1.ListTransactionsResponse{}
	rows := [][]string{{"XID", "STATE", "PROBLEM"}}
	for _, xid := range xids {
		res, err := r.transactions().RetryTransaction(ctx, &coordinatorv1.RetryTransactionRequest{Xid: xid})
		if err != nil {
			faults = true
			if _, err := fmt.Fprintf(r.std.Err, "%s: %v\n", tool.Printable(xid), tool.Plain(err)); err != nil {
				return err
			}
			continue
		}
		t := res.GetTransaction()
		all.Transactions = append(all.Transactions, t)
		rows = append(rows, []string{t.GetXid(), short(t.GetState().String(), statePrefix), t.GetProblem()})
	}
	var err error
	if r.json {
		err = tool.WriteJSON(r.std.Out, all)
	} else {
		err = tool.WriteTable(r.std.Out, rows)
	}
	if err == nil && faults {
		return tool.ErrFaults
	}
	return err
}

func cancelVerb() tool.Verb {
	return tool.Verb{
		Name: "cancel", Args: "XID", About: "cancels a transaction that is not decided yet",
		Examples: []string{"cancel order-1 --reason 'ordered by mistake'"},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			r, reason := &remote{}, ""
			r.register(set, std)
			set.String(&reason, "reason", "", "`why`; kept as the transaction's problem")
			check := func(args []string) error {
				if len(args) != 1 || reason == "" {
					return errors.New("want one XID and a --reason; try --help")
				}
				return nil
			}
			return r.Online(check, func(ctx context.Context, args []string) error {
				res, err := r.transactions().CancelTransaction(ctx, &coordinatorv1.CancelTransactionRequest{Xid: args[0], Reason: reason})
				if err != nil {
					return err
				}
				return r.show(res.GetTransaction())
			})
		},
	}
}

func forceVerb() tool.Verb {
	return tool.Verb{
		Name: "force", Args: "XID", About: "takes branches for confirmed or cancelled without calling them",
		More: `For a participant that will never answer, after you have seen to its share by other means.
Without --branch all branches that have not ended are taken so. A transaction that is not
decided can be forced as a whole to cancelled; then its branches are called. Who forced
what and why is kept in the log and told in the fact of the end.`,
		Examples: []string{
			"force order-1 --branch pay --to confirmed --reason 'booked by hand, ticket 17'",
			"force order-1 --to cancelled --reason 'the shop is closed for good'",
		},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			r, request, to := &remote{}, &coordinatorv1.ForceTransactionRequest{}, ""
			r.register(set, std)
			set.String(&to, "to", "", "`outcome`: confirmed or cancelled")
			set.String(&request.BranchId, "branch", "", "`id` of one branch; empty: all that have not ended")
			set.String(&request.Reason, "reason", "", "`why`; kept")
			check := func(args []string) error {
				request.Outcome = map[string]coordinatorv1.Outcome{
					"confirmed": coordinatorv1.Outcome_OUTCOME_CONFIRMED, "cancelled": coordinatorv1.Outcome_OUTCOME_CANCELLED,
				}[to]
				switch {
				case len(args) != 1:
					return errors.New("want one XID; try --help")
				case request.GetOutcome() == 0:
					return fmt.Errorf("--to: %q is neither confirmed nor cancelled", to)
				case request.GetReason() == "":
					return errors.New("--reason: say why; it is kept")
				}
				request.Xid = args[0]
				return nil
			}
			return r.Online(check, func(ctx context.Context, _ []string) error {
				res, err := r.transactions().ForceTransaction(ctx, request)
				if err != nil {
					return err
				}
				return r.show(res.GetTransaction())
			})
		},
	}
}
