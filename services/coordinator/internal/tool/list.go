package tool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/tool"
	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
)

const (
	statePrefix  = "TRANSACTION_STATE_"
	branchPrefix = "BRANCH_STATE_"
	pageSize     = 500
)

// filter is what list and retry --all choose by.
type filter struct {
	states, service, problem, prefix string
	older, younger                   time.Duration
}

func (f *filter) register(set *config.Set) {
	set.String(&f.service, "service", "", "`name` of a branch's service, or the beginning of its HTTP address; empty: any")
	set.String(&f.problem, "problem", "", "`text` in the problem of the transaction or of a branch, in any case")
	set.String(&f.prefix, "prefix", "", "`text` that the xid begins with, taken literally")
	set.Duration(&f.older, "older", 0, "only those that began this `time` ago or earlier")
	set.Duration(&f.younger, "younger", 0, "only those that began within this `time`")
}

func (f *filter) request() (*coordinatorv1.ListTransactionsRequest, error) {
	request := &coordinatorv1.ListTransactionsRequest{
		PageSize: pageSize, Service: f.service, Problem: f.problem, XidPrefix: f.prefix,
	}
	if f.older < 0 || f.younger < 0 {
		return nil, errors.New("--older, --younger: below 0")
	}
	if f.older > 0 {
		request.OlderThan = durationpb.New(f.older)
	}
	if f.younger > 0 {
		request.YoungerThan = durationpb.New(f.younger)
	}
	for name := range strings.SplitSeq(f.states, ",") {
		if name == "" {
			continue
		}
		state, known := coordinatorv1.TransactionState_value[statePrefix+strings.ToUpper(name)]
		if !known || state == 0 {
			return nil, fmt.Errorf("--state: %q is none of trying, confirming, confirmed, cancelling, cancelled, parked", name)
		}
		request.States = append(request.States, coordinatorv1.TransactionState(state))
	}
	return request, nil
}

// all fetches page after page until there are limit transactions; more tells
// whether there may be others.
func (r *remote) all(ctx context.Context, request *coordinatorv1.ListTransactionsRequest, limit int) (found []*coordinatorv1.Transaction, more bool, err error) {
	for len(found) < limit {
		request.PageSize = int32(min(limit-len(found), pageSize))
		res, err := r.transactions().ListTransactions(ctx, request)
		if err != nil {
			return nil, false, err
		}
		found = append(found, res.GetTransactions()...)
		if request.PageToken = res.GetNextPageToken(); request.GetPageToken() == "" {
			return found, false, nil
		}
	}
	return found, true, nil
}

func listVerb() tool.Verb {
	return tool.Verb{
		Name: "list", About: "lists transactions, newest first",
		Examples: []string{
			"list --state parked", "list --state trying,confirming --older 1m", "list --service settlement --problem timeout --json",
			"list --prefix order-10 --limit 20",
		},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			r, f, limit := &remote{}, &filter{}, 0
			r.register(set, std)
			f.register(set)
			set.String(&f.states, "state", "", "`states`, by commas: trying, confirming, confirmed, cancelling, cancelled, parked; empty: any")
			set.Int(&limit, "limit", 100, "the most `transactions` to list")
			var request *coordinatorv1.ListTransactionsRequest
			check := func(args []string) (err error) {
				if limit < 1 || len(args) > 0 {
					return errors.New("want no arguments, and a --limit of 1 or more; try --help")
				}
				request, err = f.request()
				return err
			}
			return r.Online(check, func(ctx context.Context, _ []string) error { return r.list(ctx, request, limit) })
		},
	}
}

func (r *remote) list(ctx context.Context, request *coordinatorv1.ListTransactionsRequest, limit int) error {
	found, more, err := r.all(ctx, request, limit)
	if err != nil {
		return err
	}
	if r.json {
		return tool.WriteJSON(r.std.Out, &coordinatorv1.ListTransactionsResponse{Transactions: found})
	}
	rows := [][]string{{"XID", "STATE", "MODE", "BEGUN", "TOOK", "BRANCHES", "PROBLEM"}}
	for _, t := range found {
		rows = append(rows, []string{
			t.GetXid(), short(t.GetState().String(), statePrefix), short(t.GetMode().String(), "MODE_"), tool.Time(t.GetCreatedAt()),
			took(t).String(), strings.Join(services(t), " "), t.GetProblem(),
		})
	}
	if err := tool.WriteTable(r.std.Out, rows); err != nil || !more {
		return err
	}
	_, err = fmt.Fprintf(r.std.Err, "there may be more; --limit shows them\n")
	return err
}

// took is from the beginning to the latest change.
func took(t *coordinatorv1.Transaction) time.Duration {
	return (time.Duration(t.GetUpdatedAt()-t.GetCreatedAt()) * time.Microsecond).Round(time.Millisecond)
}

// services are those of the branches, each once.
func services(t *coordinatorv1.Transaction) (names []string) {
	for _, branch := range t.GetBranches() {
		if name := target(branch); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// target is whom a branch calls.
func target(branch *coordinatorv1.Branch) string {
	if http := branch.GetSpec().GetHttp(); http != nil {
		return http.GetCancel().GetUrl()
	}
	return branch.GetSpec().GetService()
}

func getVerb() tool.Verb {
	return tool.Verb{
		Name: "get", Args: "XID", About: "shows a transaction: its branches, and with --log every step",
		Examples: []string{"get order-1", "get order-1 --log", "get order-1 --json"},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			r, log := &remote{}, false
			r.register(set, std)
			set.Bool(&log, "log", false, "show the log too")
			return r.Online(tool.Want(1, "one XID"), func(ctx context.Context, args []string) error {
				res, err := r.transactions().GetTransaction(ctx, &coordinatorv1.GetTransactionRequest{Xid: args[0]})
				if err != nil {
					return err
				}
				if err := r.show(res.GetTransaction()); err != nil || !log {
					return err
				}
				return r.showLog(ctx, args[0])
			})
		},
	}
}

// show prints one transaction.
func (r *remote) show(t *coordinatorv1.Transaction) error {
	if r.json {
		return tool.WriteJSON(r.std.Out, t)
	}
	rows := [][]string{
		{"xid", t.GetXid()},
		{"state", short(t.GetState().String(), statePrefix)},
		{"mode", short(t.GetMode().String(), "MODE_")},
		{"begun", tool.Time(t.GetCreatedAt())},
		{"changed", tool.Time(t.GetUpdatedAt())},
		{"try until", tool.Time(t.GetExpiresAt())},
	}
	if t.GetProblem() != "" {
		rows = append(rows, []string{"problem", t.GetProblem()})
	}
	if err := tool.WriteTable(r.std.Out, rows); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(r.std.Out); err != nil {
		return err
	}
	rows = [][]string{{"BRANCH", "STATE", "CALLS", "TARGET", "ACTION", "LAST ERROR"}}
	for _, branch := range t.GetBranches() {
		state := short(branch.GetState().String(), branchPrefix)
		if branch.GetForced() {
			state += " (forced)"
		}
		rows = append(rows, []string{
			branch.GetSpec().GetBranchId(), state, fmt.Sprint(branch.GetAttempts()), target(branch),
			branch.GetSpec().GetAction(), branch.GetLastError(),
		})
	}
	return tool.WriteTable(r.std.Out, rows)
}

func (r *remote) showLog(ctx context.Context, xid string) error {
	res, err := r.transactions().ListRecords(ctx, &coordinatorv1.ListRecordsRequest{Xid: xid})
	if err != nil {
		return err
	}
	if r.json {
		return tool.WriteJSON(r.std.Out, res)
	}
	if _, err := fmt.Fprintln(r.std.Out); err != nil {
		return err
	}
	rows := [][]string{{"SEQUENCE", "BRANCH", "PHASE", "STATUS", "CALL", "PROBLEM"}}
	for _, record := range res.GetRecords() {
		rows = append(rows, []string{
			fmt.Sprint(record.GetSequence()), record.GetBranchId(), record.GetPhase(), record.GetStatus(),
			fmt.Sprint(record.GetAttempt()), record.GetProblem(),
		})
	}
	return tool.WriteTable(r.std.Out, rows)
}
