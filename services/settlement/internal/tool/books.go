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
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1/storefrontv1connect"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/statement"
)

func accountsVerb() tool.Verb {
	return tool.Verb{
		Name: "accounts", About: "lists accounts with their balances",
		Examples: []string{"accounts", "accounts --owner 0196f0c2-7c1e-7a60-9b1e-5d3f0c8a2b11 --json"},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			var r remote
			var owner string
			var asJSON bool
			r.Register(set)
			set.String(&owner, "owner", "", "only accounts of the person with this account `id`")
			set.Bool(&asJSON, "json", false, "print JSON")
			return online(&r, want(0, "no arguments"), func(ctx context.Context, _ []string) error {
				all := &settlementv1.ListAccountsResponse{}
				err := pages(func(token string) (string, error) {
					res, err := r.ledger().ListAccounts(ctx, &settlementv1.ListAccountsRequest{PageSize: page, PageToken: token, OwnerId: owner})
					all.Accounts = append(all.Accounts, res.GetAccounts()...)
					return res.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				if asJSON {
					return tool.WriteJSON(std.Out, all)
				}
				rows := [][]string{{"ACCOUNT", "PURPOSE", "OWNER", "POSTED", "HELD"}}
				for _, a := range all.GetAccounts() {
					posted, held := a.GetCreditsPosted()-a.GetDebitsPosted(), a.GetDebitsPending()
					if a.GetNormalSide() == settlementv1.Side_SIDE_DEBIT {
						posted, held = -posted, a.GetCreditsPending()
					}
					rows = append(rows, []string{
						a.GetId(), a.GetPurpose(), a.GetOwnerId(), money.Amount{Minor: posted, Currency: a.GetCurrency()}.Format(),
						money.Amount{Minor: held, Currency: a.GetCurrency()}.Format(),
					})
				}
				return tool.WriteTable(std.Out, rows)
			})
		},
	}
}

func transfersVerb() tool.Verb {
	return tool.Verb{
		Name: "transfers", Args: "REFERENCE", About: "shows the transfers of an order, a payment or a payout",
		Examples: []string{"transfers 0196f0c2-7c1e-7a60-9b1e-5d3f0c8a2b11"},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			var r remote
			var asJSON bool
			r.Register(set)
			set.Bool(&asJSON, "json", false, "print JSON")
			return online(&r, want(1, "one REFERENCE"), func(ctx context.Context, args []string) error {
				all := &settlementv1.ListTransfersResponse{}
				err := pages(func(token string) (string, error) {
					res, err := r.ledger().ListTransfers(ctx, &settlementv1.ListTransfersRequest{PageSize: page, PageToken: token, Reference: args[0]})
					all.Transfers = append(all.Transfers, res.GetTransfers()...)
					return res.GetNextPageToken(), err
				})
				if err != nil {
					return err
				}
				if asJSON {
					return tool.WriteJSON(std.Out, all)
				}
				return writeTransfers(std, all.GetTransfers())
			})
		},
	}
}

func writeTransfers(std *tool.Stdio, transfers []*settlementv1.Transfer) error {
	rows := [][]string{{"TRANSFER", "TYPE", "STATE", "TIME", "SIDE", "ACCOUNT", "AMOUNT"}}
	for _, t := range transfers {
		at := max(t.GetCreatedAt(), t.GetEndedAt())
		first := []string{t.GetId(), t.GetType(), short(t.GetState().String(), "TRANSFER_STATE_"), tool.Time(at)}
		for _, p := range t.GetPostings() {
			rows = append(rows, append(first[:4:4], short(p.GetSide().String(), "SIDE_"),
				strings.TrimSpace(p.GetPurpose()+" "+p.GetOwnerId()), amount(p.GetAmount())))
			first = []string{"", "", "", ""}
		}
	}
	return tool.WriteTable(std.Out, rows)
}

// short is the name of an enum's value without its prefix.
func short(name, prefix string) string { return strings.ToLower(strings.TrimPrefix(name, prefix)) }

func statementVerb() tool.Verb {
	return tool.Verb{
		Name: "statement", Args: "[ACCOUNT]", About: "shows an account's opening balance, lines and closing balance",
		Examples: []string{
			"statement 0196f0c2-7c1e-7a60-9b1e-5d3f0c8a2b11 --from 2026-01-01 --to 2026-02-01",
			"statement --purpose platform --currency USD --format csv > platform.csv",
			"statement --owner 0196f0c2-7c1e-7a60-9b1e-5d3f0c8a2b11 --purpose earnings --currency USD --format json",
		},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			var r remote
			var s span
			var format string
			req := &settlementv1.GetStatementRequest{PageSize: page}
			r.Register(set)
			s.register(set, "the statement")
			set.String(&req.OwnerId, "owner", "", "`id` of the person whose account it is, where no ACCOUNT is given; empty: the house's")
			set.String(&req.Purpose, "purpose", "", "the account's `purpose`: wallet, earnings, platform, tax, clearing or receivable")
			set.String(&req.Currency, "currency", "", "the account's `currency`")
			set.String(&format, "format", "text", "`form` of the output: text, csv or json")
			check := func(args []string) (err error) {
				if len(args) > 1 || (len(args) == 0) == (req.GetPurpose() == "") {
					return errors.New("want either an ACCOUNT, or --purpose and --currency; try --help")
				}
				if len(args) == 1 {
					req.AccountId = args[0]
				}
				if req.From, req.To, err = s.micros(); err != nil {
					return err
				}
				return chooseFormat(format, "text", "csv", "json")
			}
			return online(&r, check, func(ctx context.Context, _ []string) error {
				whole, err := readStatement(ctx, &r, req)
				if err != nil {
					return err
				}
				return writeStatement(std, whole, format)
			})
		},
	}
}

// readStatement reads all pages of a statement, of one time.
func readStatement(ctx context.Context, r *remote, req *settlementv1.GetStatementRequest) (*settlementv1.GetStatementResponse, error) {
	var whole *settlementv1.GetStatementResponse
	err := pages(func(token string) (string, error) {
		req.PageToken = token
		res, err := r.ledger().GetStatement(ctx, req)
		switch {
		case err != nil:
			return "", err
		case whole == nil:
			whole = res
			req.To = res.GetTo() // so that all pages end together
		default:
			whole.Lines = append(whole.Lines, res.GetLines()...)
		}
		return res.GetNextPageToken(), nil
	})
	if whole != nil {
		whole.NextPageToken = ""
	}
	return whole, err
}

func writeStatement(std *tool.Stdio, res *settlementv1.GetStatementResponse, format string) error {
	switch format {
	case "json":
		return tool.WriteJSON(std.Out, res)
	case "csv":
		return statement.WriteCSV(std.Out, statementOf(res))
	}
	rows := [][]string{
		{"TIME", "TYPE", "REFERENCE", "AMOUNT", "BALANCE"},
		{tool.Time(res.GetFrom()), "opening", "", "", amount(res.GetOpening())},
	}
	for _, line := range res.GetLines() {
		rows = append(rows, []string{
			tool.Time(line.GetPostedAt()), line.GetType(), line.GetReference(), amount(line.GetAmount()), amount(line.GetBalance()),
		})
	}
	rows = append(rows, []string{tool.Time(res.GetTo()), "closing", "", "", amount(res.GetClosing())})
	return tool.WriteTable(std.Out, rows)
}

func statementOf(res *settlementv1.GetStatementResponse) statement.Statement {
	at := func(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
	s := statement.Statement{
		From: at(res.GetFrom()), To: at(res.GetTo()),
		Opening: money.Amount{Minor: res.GetOpening().GetMinor(), Currency: res.GetOpening().GetCurrency()},
		Closing: money.Amount{Minor: res.GetClosing().GetMinor(), Currency: res.GetClosing().GetCurrency()},
	}
	for _, line := range res.GetLines() {
		s.Lines = append(s.Lines, statement.Line{
			PostedAt: at(line.GetPostedAt()), Sequence: line.GetSequence(), TransferID: line.GetTransferId(),
			Type: ledger.Type(line.GetType()), Reference: line.GetReference(),
			Amount:  money.Amount{Minor: line.GetAmount().GetMinor(), Currency: line.GetAmount().GetCurrency()},
			Balance: money.Amount{Minor: line.GetBalance().GetMinor(), Currency: line.GetBalance().GetCurrency()},
		})
	}
	return s
}

func refundVerb() tool.Verb {
	return tool.Verb{
		Name: "refund", Args: "ORDER", About: "takes back the money of a sale, whole or in part",
		More: `The money goes to the buyer's wallet, or with --chargeback to the payment provider. Who was paid out
already owes its part to the house. With --revoke the buyer loses the video, in the same global
transaction as the money moves; without it the buyer keeps the video.`,
		Examples: []string{"refund 0196f0c2-7c1e-7a60-9b1e-5d3f0c8a2b11 --revoke", "refund ORDER --amount '1.50 USD' --key ticket-4711"},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			var r remote
			var part, key string
			var chargeback, revoke, asJSON bool
			r.Register(set)
			set.Bool(&revoke, "revoke", false, "take the video back, too; needs storefront")
			set.String(&part, "amount", "", "`amount` such as '4.99 USD'; empty: all that is left")
			set.String(&key, "key", "", "idempotency `key`: the same key gives the same refund; empty: one that is new")
			set.Bool(&chargeback, "chargeback", false, "the provider has taken the money back")
			set.Bool(&asJSON, "json", false, "print JSON")
			req := &settlementv1.RefundSaleRequest{Kind: settlementv1.RefundKind_REFUND_KIND_REFUND}
			check := func(args []string) (err error) {
				if err := want(1, "one ORDER")(args); err != nil {
					return err
				}
				req.OrderId = args[0]
				if revoke && part != "" {
					return errors.New("--amount: a refund that revokes is of all that is left")
				}
				if part != "" {
					parsed, err := money.Parse(part)
					if err != nil {
						return fmt.Errorf("--amount: %w", err)
					}
					req.Amount = parsed.ToProto()
				}
				if chargeback {
					req.Kind = settlementv1.RefundKind_REFUND_KIND_CHARGEBACK
				}
				req.IdempotencyKey, err = newKey(key)
				return err
			}
			return online(&r, check, func(ctx context.Context, _ []string) error {
				if revoke {
					return refundOrder(ctx, &r, std, req, asJSON)
				}
				res, err := r.ledger().RefundSale(ctx, req)
				if err != nil {
					return err
				}
				if asJSON {
					return tool.WriteJSON(std.Out, res)
				}
				return writeTransfers(std, []*settlementv1.Transfer{res.GetTransfer()})
			})
		},
	}
}

// refundOrder has storefront take an order back.
func refundOrder(ctx context.Context, r *remote, std *tool.Stdio, req *settlementv1.RefundSaleRequest, asJSON bool) error {
	res, err := storefrontv1connect.NewOrderServiceClient(r.Client, r.URL).RefundOrder(ctx, &storefrontv1.RefundOrderRequest{
		OrderId: req.GetOrderId(), IdempotencyKey: req.GetIdempotencyKey(),
		Chargeback: req.GetKind() == settlementv1.RefundKind_REFUND_KIND_CHARGEBACK,
	})
	if err != nil {
		return err
	}
	if asJSON {
		return tool.WriteJSON(std.Out, res)
	}
	_, err = fmt.Fprintf(std.Out, "order %s is refunded, the video is revoked\n", res.GetOrder().GetId())
	return err
}
