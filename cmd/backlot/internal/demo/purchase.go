package demo

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/anypb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

// stolen is the card that the demo's rule refuses.
const stolen = "card-reported-stolen"

const rulesetSource = `rule stolen_card "Card reported stolen"
  when card == "` + stolen + `"
  then deny score 100 reason STOLEN_CARD
rule burst "One viewer orders faster than anyone watches"
  when count(payment by viewer_id over 10m) > 50
  then deny score 60 reason BURST
rule first_order "First order of a new account" shadow
  when paid_orders == 0 and account_age < 1d
  then review reason FIRST_ORDER
`

const rulesetName = "payments"

// sale is one purchase with all that followed.
type sale struct {
	order    *storefrontv1.Order
	denied   *storefrontv1.Order
	transfer *settlementv1.Transfer
	balance  *moneyv1.Money
	ledger   *settlementv1.VerifyLedgerResponse
}

// releaseRules puts the demo's rules in force through the configstore.
func (r *run) releaseRules(ctx context.Context) error {
	check, err := r.operator.rules.Check(ctx, &rulesv1.CheckRequest{FactType: factType, Source: rulesetSource})
	if err != nil {
		return fmt.Errorf("check rules: %w", err)
	}
	for _, diagnostic := range check.GetDiagnostics() {
		if diagnostic.GetSeverity() == rulesv1.Diagnostic_SEVERITY_ERROR {
			return fmt.Errorf("rules do not compile: %s", diagnostic.GetRendered())
		}
	}
	spec, err := anypb.New(&rulesv1.Ruleset{FactType: factType, Source: rulesetSource})
	if err != nil {
		return err
	}
	applied, err := r.operator.config.Apply(ctx, &configstorev1.ApplyRequest{
		Reason: "demo",
		Changes: []*configstorev1.Change{{Change: &configstorev1.Change_Put{Put: &configstorev1.Object{
			Key: &configstorev1.Key{Kind: "Ruleset", Name: rulesetName}, Spec: spec,
		}}}},
	})
	if err != nil {
		return fmt.Errorf("release rules: %w", err)
	}
	version := applied.GetObjects()[0].GetReleaseId() // of an earlier run, where nothing changed
	return eventually(ctx, "rules to be in force", func() (bool, error) {
		response, err := r.operator.rules.ListRulesets(ctx, &rulesv1.ListRulesetsRequest{})
		for _, status := range response.GetRulesets() {
			if status.GetName() == rulesetName && status.GetVersion() == version {
				return true, nil
			}
		}
		return false, retryable(err)
	})
}

const factType = "backlot.rules.v1.PaymentFact"

// buy tops up, is refused with a stolen card, and buys the video.
func (r *run) buy(ctx context.Context, video *storefrontv1.Video) (*sale, error) {
	result := &sale{}
	var err error
	if result.denied, err = r.orderOnce(ctx, video, r.state.DeniedKey, stolen); err != nil {
		return nil, err
	}
	if result.denied.GetState() != storefrontv1.OrderState_ORDER_STATE_REFUSED {
		return nil, fmt.Errorf("a stolen card was not refused: order is %s", result.denied.GetState())
	}
	topUp := &settlementv1.TopUpRequest{
		Amount: &moneyv1.Money{Minor: 2000, Currency: currency}, IdempotencyKey: r.state.TopUpKey,
	}
	if _, err := r.buyer.ledger.TopUp(ctx, topUp); err != nil {
		return nil, fmt.Errorf("top up: %w", err)
	}
	if result.order, err = r.orderOnce(ctx, video, r.state.OrderKey, "card-of-"+r.state.Buyer.Name); err != nil {
		return nil, err
	}
	if result.order.GetState() != storefrontv1.OrderState_ORDER_STATE_PAID {
		err := fmt.Errorf("the order is not paid but %s: %s; the next run is of another buyer", result.order.GetState(), result.order.GetProblem())
		return nil, errors.Join(err, r.state.giveUp())
	}
	return result, r.audit(ctx, result)
}

// orderOnce orders with a key and waits for the order's end.
func (r *run) orderOnce(ctx context.Context, video *storefrontv1.Video, key, card string) (*storefrontv1.Order, error) {
	request := &storefrontv1.CreateOrderRequest{
		VideoId: video.GetId(), IdempotencyKey: key, ExpectedPrice: video.GetPrice(),
		Payment: &storefrontv1.PaymentContext{Instrument: card, Device: "demo"},
	}
	var order *storefrontv1.Order
	err := eventually(ctx, "order to end", func() (bool, error) {
		response, err := r.buyer.orders.CreateOrder(ctx, request)
		order = response.GetOrder()
		return order.GetState() >= storefrontv1.OrderState_ORDER_STATE_PAID, retryable(err)
	})
	if err != nil {
		return nil, fmt.Errorf("order: %w", err)
	}
	return order, nil
}

// audit reads what the purchase did to the ledger.
func (r *run) audit(ctx context.Context, s *sale) error {
	transfers, err := r.operator.ledger.ListTransfers(ctx, &settlementv1.ListTransfersRequest{Reference: s.order.GetId()})
	if err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	for _, transfer := range transfers.GetTransfers() {
		if transfer.GetState() == settlementv1.TransferState_TRANSFER_STATE_POSTED {
			if s.transfer != nil {
				return fmt.Errorf("order %s was booked twice", s.order.GetId())
			}
			s.transfer = transfer
		}
	}
	if s.transfer == nil {
		return fmt.Errorf("order %s is paid but not booked", s.order.GetId())
	}
	if sum := sumOf(s.transfer); sum != 0 {
		return fmt.Errorf("postings of order %s sum to %d, not 0", s.order.GetId(), sum)
	}
	wallet, err := r.buyer.ledger.GetWallet(ctx, &settlementv1.GetWalletRequest{Currency: currency})
	if err != nil {
		return fmt.Errorf("read the wallet: %w", err)
	}
	s.balance = wallet.GetAvailable()
	if s.ledger, err = r.operator.ledger.VerifyLedger(ctx, &settlementv1.VerifyLedgerRequest{}); err != nil {
		return fmt.Errorf("verify the ledger: %w", err)
	}
	if !s.ledger.GetOk() {
		return fmt.Errorf("the ledger does not hold: %v", s.ledger.GetFaults())
	}
	return nil
}

// sumOf adds debits and subtracts credits.
func sumOf(t *settlementv1.Transfer) int64 {
	sum := int64(0)
	for _, posting := range t.GetPostings() {
		if posting.GetSide() == settlementv1.Side_SIDE_DEBIT {
			sum += posting.GetAmount().GetMinor()
		} else {
			sum -= posting.GetAmount().GetMinor()
		}
	}
	return sum
}

// refusedWithoutPurchase proves that the video cannot be played before it
// is bought.
func (r *run) refusedWithoutPurchase(ctx context.Context, video *storefrontv1.Video) error {
	_, err := r.buyer.orders.CreatePlayback(ctx, &storefrontv1.CreatePlaybackRequest{VideoId: video.GetId()})
	switch {
	case err == nil:
		owned, listErr := r.buyer.orders.ListEntitlements(ctx, &storefrontv1.ListEntitlementsRequest{})
		if listErr == nil && len(owned.GetEntitlements()) > 0 {
			return nil // bought by this run before it was cut short
		}
		return errors.Join(errors.New("the video could be played without a purchase"), listErr)
	case connect.CodeOf(err) == connect.CodePermissionDenied:
		return nil
	default:
		return fmt.Errorf("playback without purchase: %w", err)
	}
}
