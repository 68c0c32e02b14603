package tool

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/kit/tool"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1/settlementv1connect"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1/storefrontv1connect"
	"github.com/backlot-video/backlot/services/settlement/internal/api"
	"github.com/backlot-video/backlot/services/settlement/internal/cashier"
	"github.com/backlot-video/backlot/services/settlement/internal/engine"
	"github.com/backlot-video/backlot/services/settlement/internal/ledger"
	"github.com/backlot-video/backlot/services/settlement/internal/match"
	"github.com/backlot-video/backlot/services/settlement/internal/matcher"
	"github.com/backlot-video/backlot/services/settlement/internal/payer"
	"github.com/backlot-video/backlot/services/settlement/internal/payment"
	"github.com/backlot-video/backlot/services/settlement/internal/reconciler"
	"github.com/backlot-video/backlot/services/settlement/internal/store"
	backlotsql "github.com/backlot-video/backlot/sql"
)

// gate lets everybody in as operator.
type gate struct {
	storefrontv1connect.UnimplementedAccountServiceHandler
}

func (gate) SignIn(context.Context, *storefrontv1.SignInRequest) (*storefrontv1.SignInResponse, error) {
	return &storefrontv1.SignInResponse{Token: &storefrontv1.Token{AccessToken: "token"}}, nil
}

// house is a settlement behind a gateway, and its data folder.
type house struct {
	t        *testing.T
	dir, url string
	books    *engine.Engine
	matches  *store.Matches
	matcher  *matcher.Matcher
}

func open(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir()}
	for name, data := range map[string]string{"storefront/operator.key": "key", "settlement/.keep": ""} {
		path := filepath.Join(h.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	db, err := database.Open(t.Context(), database.Config{Service: "settlement", DataDir: filepath.Join(h.dir, "settlement")}, backlotsql.Migrations("settlement"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	log := slog.New(slog.DiscardHandler)
	ledgers := store.New(db)
	h.books = engine.New(ledgers, engine.Config{})
	t.Cleanup(h.books.Close)
	h.matches = store.NewMatches(db)
	h.matcher = matcher.New(matcher.Config{
		Matches: h.matches, Clock: func() time.Time { return time.Now().Add(time.Minute) }, Log: log,
		Tell: func(context.Context, *sql.Tx, *eventv1.Envelope) error { return nil },
	})
	kept, payouts := store.NewReconciliations(db), store.NewPayouts(db)
	mux := http.NewServeMux()
	handle := func(path string, handler http.Handler) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			operator := identity.Principal{Kind: identity.Operator, ID: "op", TenantID: "main"}
			handler.ServeHTTP(w, r.WithContext(identity.With(r.Context(), operator)))
		})
	}
	handle(storefrontv1connect.NewAccountServiceHandler(gate{}))
	handle(settlementv1connect.NewLedgerServiceHandler(api.New(ledgers, h.books, cashier.New(ledgers, h.books, payment.NewTestProvider(1e6, log), nil, log))))
	handle(settlementv1connect.NewPayoutServiceHandler(api.NewPayout(payer.New(payer.Config{
		Ledgers: ledgers, Books: h.books, Payouts: payouts, Bank: payment.Manual{}, Clock: time.Now, Log: log,
	}), payouts)))
	handle(settlementv1connect.NewReconciliationServiceHandler(api.NewReconciliation(
		reconciler.New(ledgers, kept, time.Now), kept, h.matcher, h.matches)))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

// book posts a transfer and returns its id.
func (h *house) book(kind ledger.Type, reference string, minor int64, lines ...ledger.Line) string {
	h.t.Helper()
	var id string
	for i := range lines {
		if lines[i].Amount.Currency == "" {
			lines[i].Amount = money.Amount{Minor: minor, Currency: "USD"}
		}
	}
	err := h.books.Write(h.t.Context(), "main", "USD", func(ctx context.Context, tx *engine.Tx) error {
		_, err := tx.Pend(ctx, ledger.Draft{
			TenantID: "main", Currency: "USD", Type: kind, Reference: reference, IdempotencyKey: reference, Lines: lines,
		})
		if err != nil {
			return err
		}
		t, err := tx.Post(ctx, "main", reference)
		id = t.ID
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

// sold books a top-up of 10.00 and a sale of 5.00 that eve gets whole.
func (h *house) sold() {
	h.book(ledger.TopUp, "payment", 1000,
		ledger.Line{Purpose: ledger.Clearing, Side: ledger.Debit}, ledger.Line{Purpose: ledger.Wallet, OwnerID: "ann", Side: ledger.Credit})
	h.book(ledger.Sale, "order", 500,
		ledger.Line{Purpose: ledger.Wallet, OwnerID: "ann", Side: ledger.Debit}, ledger.Line{Purpose: ledger.Earnings, OwnerID: "eve", Side: ledger.Credit})
}

// run runs a verb as it is typed.
func (h *house) run(in string, args ...string) (code int, out, errs string) {
	h.t.Helper()
	var o, e bytes.Buffer
	code = tool.Main(h.t.Context(), append(args, "--data-dir", h.dir), Verbs(), &tool.Stdio{
		In: strings.NewReader(in), Out: &o, Err: &e, Program: "settlement", About: About, Environ: []string{"BACKLOT_GATEWAY=" + h.url},
	})
	return code, o.String(), e.String()
}

// says runs a verb and fails the test unless it ends with a code and prints
// every text.
func (h *house) says(code int, in string, args string, texts ...string) string {
	h.t.Helper()
	got, out, errs := h.run(in, strings.Split(args, "|")...)
	for _, text := range texts {
		if !strings.Contains(out+errs, text) {
			h.t.Errorf("%s: %q is not in\n%s%s", args, text, out, errs)
		}
	}
	if got != code {
		h.t.Errorf("%s: code %d, want %d\n%s%s", args, got, code, out, errs)
	}
	return out
}

func TestBooksAreVerifiedAndShown(t *testing.T) {
	h := open(t)
	h.sold()
	online := h.says(0, "", "verify", "USD     2", "2 transfers: every balance, sum and hash holds")
	if offline := h.says(0, "", "verify|--offline"); offline != online {
		t.Errorf("offline says\n%sonline\n%s", offline, online)
	}
	h.says(0, "", "verify|--offline|--tenant|other", "0 transfers")
	h.says(0, "", "accounts", "wallet    ann    5.00 USD   0.00 USD", "clearing         10.00 USD  0.00 USD")
	h.says(0, "", "accounts|--owner|eve|--json", `"creditsPosted": "500"`)
	h.says(0, "", "transfers|order", "sale  posted", "debit   wallet ann    5.00 USD")
	h.says(0, "", "statement|--owner|ann|--purpose|wallet|--currency|USD", "sale", "-5.00 USD  5.00 USD", "closing")
	h.says(0, "", "statement|--owner|ann|--purpose|wallet|--currency|USD|--format|csv", ",sale,order,", ",-5.00,5.00,USD\n")
	var document struct {
		Lines []struct{ Reference string }
	}
	out := h.says(0, "", "statement|--owner|ann|--purpose|wallet|--currency|USD|--format|json")
	if err := json.Unmarshal([]byte(out), &document); err != nil || len(document.Lines) != 2 || document.Lines[1].Reference != "order" {
		t.Errorf("%v of %s", err, out)
	}
	h.says(0, "", "refund|order|--amount|1.00 USD|--key|k", "refund  posted", "debit   earnings eve  1.00 USD")
	h.says(0, "", "refund|order|--chargeback|--json", `"type": "chargeback"`)
	h.says(2, "", "refund|order", "nothing is left to refund")
	for args, text := range map[string]string{
		"refund":                          "want one ORDER",
		"refund|order|--amount|1":         "--amount: not an amount such as 4.99 USD",
		"verify|now":                      "want no arguments",
		"verify|--database-url|postgres:": "only with --offline",
		"statement":                       "want either an ACCOUNT",
		"statement|x|--from|yesterday":    `--from: "yesterday" is no time`,
		"statement|x|--from|2026-02-01|--to|2026-01-01": "--to: must be after --from",
		"statement|x|--format|pdf":                      `--format: "pdf" is none of`,
		"statement|none":                                "account none: not found",
	} {
		h.says(2, "", args, text)
	}
}

func TestVerifyTellsFaultsByItsExitCode(t *testing.T) {
	h := open(t)
	h.sold()
	db, err := sql.Open("sqlite", filepath.Join(h.dir, "settlement", "settlement.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "UPDATE transfers SET reference = 'forged' WHERE sequence = 2"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	h.says(1, "", "verify|--offline", "faults:", "hash does not match")
	h.says(1, "", "verify|--json", `"ok": false`)
	h.dir = t.TempDir()
	h.says(2, "", "verify|--offline", "no such file", "--data-dir names another folder")
	h.says(2, "", "accounts", "operator's key")
}

func TestPayoutsAreDrivenByHand(t *testing.T) {
	h := open(t)
	h.sold()
	h.says(0, "", "payouts", "BATCH")
	out := h.says(0, "", "payouts|create|--minimum|1.00 USD|--key|k|--format|json", `"PAYOUT_BATCH_STATE_DRAFT"`)
	var batch struct{ ID string }
	if err := json.Unmarshal([]byte(out), &batch); err != nil {
		t.Fatal(err)
	}
	h.says(2, "", "payouts|submit|"+batch.ID, "not allowed in this state: submit a batch that is draft")
	h.says(0, "", "payouts|approve|"+batch.ID, "approved")
	h.says(0, "", "payouts|submit|"+batch.ID, "submitted")
	table := h.says(0, "", "payouts|show|"+batch.ID+"|--format|csv", ",eve,5.00,USD,submitted,\n")
	id, _, _ := strings.Cut(strings.Split(table, "\n")[1], ",")
	h.says(0, "", "payouts|show|"+batch.ID, "5.00 USD  submitted")
	h.says(0, "", "payouts|end|"+batch.ID+"|"+id, "ended", "1        1        0       5.00 USD  5.00 USD")
	h.says(2, "", "payouts|cancel|"+batch.ID, "not allowed")
	h.says(2, "", "payouts|create", "--minimum: not an amount")
	h.says(2, "", "payouts|create|--minimum|1.00 USD|--owners|nobody", "nobody is due")
	for _, args := range []string{"payouts|approve", "payouts|end|x", "payouts|list|x", "payouts|pay"} {
		h.says(2, "", args, "want list, create")
	}
	h.says(2, "", "payouts|list|--format|csv", `"csv" is none of`)
}

func TestFilesAreReconciled(t *testing.T) {
	h := open(t)
	h.sold()
	good := "Id;Gross;Cur;Status\npayment;10.00;USD;ok\n"
	const columns = "--columns|reference=id,amount=gross,currency=cur,state=status|--separator|;|--settled|ok"
	h.says(0, good, "reconcile|-|"+columns, "of standard input", "rows 1, agree 1, differences 0", "ours 10.00 USD in 1, theirs 10.00 USD in 1")
	path := filepath.Join(h.dir, "file.csv")
	if err := os.WriteFile(path, []byte("reference,amount,currency\npayment,9.99,USD\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.says(1, "", "reconcile|"+path, "amount        \"payment\" (line 2): ours 10.00 USD \"posted\", theirs 9.99 USD")
	h.says(1, "", "reconcile|"+path+"|--format|csv", "amount,payment,2,10.00,9.99,USD,USD,posted,,")
	h.says(1, "", "reconcile|"+path+"|--format|json", `"RECONCILIATION_DIFFERENCE_KIND_AMOUNT"`)
	h.says(0, "", "reconciliations", "file.csv        finished")
	h.says(2, "reference,amount,currency\nx,y,USD\n", "reconcile|-", `line 2, column 3: amount: "y" is not an amount`)
	h.says(0, "", "reconciliations", "failed", "line 2, column 3")
	h.says(2, "", "reconcile|-|--columns|id=x", `--columns: "id=x" is not one of`)
	h.says(2, "", "reconcile|"+filepath.Join(h.dir, "none"), "no such file")
	h.says(2, "", "reconcile", "want one FILE")
	h.says(2, "", "reconciliations|none", "reconciliation none: not found")
	long := "reference,amount,currency\n" + strings.Repeat("payment,10.00,USD\n", 40_000) // two parts
	h.says(1, long, "reconcile|-", "rows 40000, agree 1, differences 39999", "and 29999 more")
}

func TestDifferencesAreListedAndClosed(t *testing.T) {
	h := open(t)
	h.says(0, "", "differences", "0 differences, 0 sales wait")
	err := h.matches.Write(t.Context(), func(ctx context.Context, tx *sql.Tx) error {
		_, err := h.matches.Update(ctx, tx, store.MatchKey{TenantID: "main", XID: "x1"}, func(m *match.Match) {
			m.OrderPaid("order", money.Amount{Minor: 499, Currency: "USD"}, time.Now())
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	h.says(0, "", "differences", "1 sales wait")
	if err := h.matcher.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.says(1, "", "differences", "transaction_missing transfer_missing  4.99 USD  -")
	h.says(1, "", "differences|--json", `"xid": "x1"`)
	h.says(2, "", "differences|close|x1", "--reason: say why")
	h.says(2, "", "differences|open|x1", "want no arguments")
	h.says(0, "", "differences|close|x1|--reason|paid by hand", "x1 is closed")
	h.says(0, "", "differences|--closed", "by op: paid by hand")
}

func TestEveryVerbExplainsItself(t *testing.T) {
	h := open(t)
	for _, verb := range Verbs() {
		h.says(0, "", fmt.Sprint("help|", verb.Name), "usage: settlement "+verb.Name, verb.About, "Examples:", "Exit code")
	}
}
