package purchase

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	"github.com/backlot-video/backlot/services/storefront/internal/order"
)

// decide asks rules. Without an answer nothing is sold: the order waits,
// and is refused when its patience ends.
func (d *Driver) decide(ctx context.Context, o order.Order) (order.Order, error) {
	fact, err := d.fact(ctx, o)
	if err != nil {
		return o, err
	}
	raw, err := proto.Marshal(fact)
	if err != nil {
		return o, fmt.Errorf("risk fact of order %s: %w", o.ID, err)
	}
	beforeDecide.Hit()
	response, err := d.Rules.Evaluate(ctx, &rulesv1.EvaluateRequest{
		FactType: string(fact.ProtoReflect().Descriptor().FullName()),
		Fact:     &rulesv1.EvaluateRequest_Proto{Proto: raw}, EventId: o.ID,
	})
	if err != nil {
		if d.Clock().Sub(o.CreatedAt) > riskPatience {
			o.State, o.Problem = order.Refused, "the risk check was not possible in time"
			return o, nil
		}
		return o, fmt.Errorf("%w: risk decision of order %s: %w", ErrUnavailable, o.ID, err)
	}
	afterDecide.Hit()
	return judged(o, response.GetDecision())
}

func (d *Driver) fact(ctx context.Context, o order.Order) (*rulesv1.PaymentFact, error) {
	viewer, err := d.Store.Account(ctx, o.TenantID, o.ViewerID)
	if err != nil {
		return nil, fmt.Errorf("viewer of order %s: %w", o.ID, err)
	}
	paid, err := d.Store.CountPaid(ctx, o.TenantID, o.ViewerID)
	if err != nil {
		return nil, fmt.Errorf("paid orders of viewer: %w", err)
	}
	return &rulesv1.PaymentFact{
		OrderId: o.ID, Amount: o.Price.ToProto(), ViewerId: o.ViewerID, CreatorId: o.CreatorID, VideoId: o.VideoID,
		Card: o.Instrument, Device: o.Device, Country: viewer.Country, At: o.CreatedAt.UnixMicro(),
		AccountAge: o.CreatedAt.Sub(viewer.CreatedAt).Microseconds(), PaidOrders: paid,
	}, nil
}

func judged(o order.Order, decision *rulesv1.Decision) (order.Order, error) {
	risk := &storefrontv1.RiskDecision{
		Verdict: strings.ToLower(strings.TrimPrefix(decision.GetVerdict().String(), "ACTION_")),
		Score:   decision.GetScore(), Ruleset: decision.GetRuleset(), RulesetVersion: decision.GetRulesetVersion(),
	}
	for _, rule := range decision.GetFired() {
		if rule.GetReason() != "" {
			risk.Reasons = append(risk.Reasons, rule.GetReason())
		}
	}
	raw, err := proto.Marshal(risk)
	if err != nil {
		return o, fmt.Errorf("risk decision of order %s: %w", o.ID, err)
	}
	o.Risk = raw
	switch o.State = order.Verdict(decision.GetVerdict()).Next(); o.State {
	case order.Paying:
		o.XID = o.ID
	case order.Refused:
		o.Problem = "refused by the risk rules"
	default:
		o.Problem = "held for review by the risk rules"
	}
	return o, nil
}
