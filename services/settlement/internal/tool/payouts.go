package tool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/kit/tool"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	"github.com/backlot-video/backlot/services/settlement/internal/payout"
)

func payoutsVerb() tool.Verb {
	return tool.Verb{
		Name: "payouts", Args: "[list | create | approve BATCH | submit BATCH | cancel BATCH | show BATCH | end BATCH PAYOUT...]",
		About: "pays out what creators have earned, in batches",
		More: `create drafts a batch of everybody with --minimum or more; it moves no money. approve holds it,
submit gives it to the payout provider, cancel gives it back. show lists a batch's payouts; as CSV it
is the file for a bank. end says how payouts ended that a person sent (provider manual): paid, or not
paid for a --problem.`,
		Examples: []string{
			"payouts create --minimum '50.00 USD'", "payouts approve BATCH", "payouts submit BATCH",
			"payouts show BATCH --format csv > payouts.csv", "payouts end BATCH PAYOUT PAYOUT", "payouts end BATCH PAYOUT --problem 'account is closed'",
		},
		New: newPayouts,
	}
}

// payouts is one run of the verb.
type payouts struct {
	remote
	minimum, key, format, problem, owners string
	std                                   *tool.Stdio
}

func newPayouts(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
	p := &payouts{std: std}
	p.Register(set)
	set.String(&p.minimum, "minimum", "", "least `amount` that is paid out at once, such as '50.00 USD'")
	set.String(&p.owners, "owners", "", "account `ids` of those who are paid, by commas; empty: everybody")
	set.String(&p.key, "key", "", "idempotency `key` of create: the same key gives the same batch; empty: one that is new")
	set.String(&p.problem, "problem", "", "`why` payouts were not paid; empty: they were")
	set.String(&p.format, "format", "text", "`form` of the output: text, json, or csv for show")
	verbs := map[string]struct {
		arguments int // after the verb, at least
		more      bool
		run       func(context.Context, []string) error
	}{
		"list": {run: p.list}, "create": {run: p.create}, "approve": {arguments: 1, run: p.step}, "submit": {arguments: 1, run: p.step},
		"cancel": {arguments: 1, run: p.step}, "show": {arguments: 1, run: p.show}, "end": {arguments: 2, more: true, run: p.end},
	}
	check := func(args []string) error {
		verb, known := verbs[args[0]]
		if rest := len(args) - 1; !known || rest < verb.arguments || rest > verb.arguments && !verb.more {
			return errors.New("want list, create, approve, submit, cancel or show BATCH, or end BATCH PAYOUT...; try --help")
		}
		if args[0] == "show" {
			return chooseFormat(p.format, "text", "json", "csv")
		}
		return chooseFormat(p.format, "text", "json")
	}
	return func(ctx context.Context, args []string) error {
		if len(args) == 0 {
			args = []string{"list"}
		}
		return online(&p.remote, check, verbs[args[0]].run)(ctx, args)
	}
}

func (p *payouts) list(ctx context.Context, _ []string) error {
	all := &settlementv1.ListPayoutBatchesResponse{}
	err := pages(func(token string) (string, error) {
		res, err := p.payouts().ListPayoutBatches(ctx, &settlementv1.ListPayoutBatchesRequest{PageSize: page, PageToken: token})
		all.Batches = append(all.Batches, res.GetBatches()...)
		return res.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	if p.format == "json" {
		return tool.WriteJSON(p.std.Out, all)
	}
	return p.writeBatches(all.GetBatches())
}

func (p *payouts) writeBatches(batches []*settlementv1.PayoutBatch) error {
	rows := [][]string{{"BATCH", "STATE", "CREATED", "PAYOUTS", "SETTLED", "FAILED", "TOTAL", "PAID"}}
	for _, b := range batches {
		rows = append(rows, []string{
			b.GetId(), short(b.GetState().String(), "PAYOUT_BATCH_STATE_"), tool.Time(b.GetCreatedAt()), fmt.Sprint(b.GetItems()),
			fmt.Sprint(b.GetSettled()), fmt.Sprint(b.GetFailed()), amount(b.GetTotal()), amount(b.GetPaid()),
		})
	}
	return tool.WriteTable(p.std.Out, rows)
}

func (p *payouts) create(ctx context.Context, _ []string) error {
	minimum, err := money.Parse(p.minimum)
	if err != nil {
		return fmt.Errorf("--minimum: %w", err)
	}
	req := &settlementv1.CreatePayoutBatchRequest{Currency: minimum.Currency, Minimum: minimum.Minor}
	if p.owners != "" {
		req.OwnerIds = strings.Split(p.owners, ",")
	}
	if req.IdempotencyKey, err = newKey(p.key); err != nil {
		return err
	}
	res, err := p.payouts().CreatePayoutBatch(ctx, req)
	return p.batch(res.GetBatch(), err)
}

func (p *payouts) step(ctx context.Context, args []string) error {
	switch args[0] {
	case "approve":
		res, err := p.payouts().ApprovePayoutBatch(ctx, &settlementv1.ApprovePayoutBatchRequest{BatchId: args[1]})
		return p.batch(res.GetBatch(), err)
	case "submit":
		res, err := p.payouts().SubmitPayoutBatch(ctx, &settlementv1.SubmitPayoutBatchRequest{BatchId: args[1]})
		return p.batch(res.GetBatch(), err)
	default:
		res, err := p.payouts().CancelPayoutBatch(ctx, &settlementv1.CancelPayoutBatchRequest{BatchId: args[1]})
		return p.batch(res.GetBatch(), err)
	}
}

func (p *payouts) end(ctx context.Context, args []string) error {
	req := &settlementv1.EndPayoutsRequest{BatchId: args[1]}
	for _, id := range args[2:] {
		req.Ends = append(req.Ends, &settlementv1.PayoutEnd{PayoutId: id, Problem: p.problem})
	}
	res, err := p.payouts().EndPayouts(ctx, req)
	return p.batch(res.GetBatch(), err)
}

func (p *payouts) batch(batch *settlementv1.PayoutBatch, err error) error {
	if err != nil {
		return err
	}
	if p.format == "json" {
		return tool.WriteJSON(p.std.Out, batch)
	}
	return p.writeBatches([]*settlementv1.PayoutBatch{batch})
}

func (p *payouts) show(ctx context.Context, args []string) error {
	all := &settlementv1.ListPayoutsResponse{}
	err := pages(func(token string) (string, error) {
		res, err := p.payouts().ListPayouts(ctx, &settlementv1.ListPayoutsRequest{BatchId: args[1], PageSize: page, PageToken: token})
		all.Payouts = append(all.Payouts, res.GetPayouts()...)
		return res.GetNextPageToken(), err
	})
	if err != nil {
		return err
	}
	switch p.format {
	case "json":
		return tool.WriteJSON(p.std.Out, all)
	case "csv":
		return payout.WriteCSV(p.std.Out, payoutsOf(all.GetPayouts()))
	}
	rows := [][]string{{"PAYOUT", "OWNER", "AMOUNT", "STATE", "UPDATED", "PROBLEM"}}
	for _, found := range all.GetPayouts() {
		rows = append(rows, []string{
			found.GetId(), found.GetOwnerId(), amount(found.GetAmount()), short(found.GetState().String(), "PAYOUT_STATE_"),
			tool.Time(found.GetUpdatedAt()), found.GetProblem(),
		})
	}
	return tool.WriteTable(p.std.Out, rows)
}

func payoutsOf(messages []*settlementv1.Payout) []payout.Payout {
	list := make([]payout.Payout, len(messages))
	for i, m := range messages {
		list[i] = payout.Payout{
			ID: m.GetId(), BatchID: m.GetBatchId(), OwnerID: m.GetOwnerId(), State: payout.State(m.GetState()), Problem: m.GetProblem(),
			Amount:    money.Amount{Minor: m.GetAmount().GetMinor(), Currency: m.GetAmount().GetCurrency()},
			UpdatedAt: time.UnixMicro(m.GetUpdatedAt()).UTC(),
		}
	}
	return list
}
