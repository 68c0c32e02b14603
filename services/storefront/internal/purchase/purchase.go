// Package purchase drives orders to their end: risk decision, then one
// global transaction over storefront and settlement.
//
//	purchase.go     Driver: creating and advancing
//	decide.go       the risk decision
//	participant.go  storefront's own branch, `entitle`
//	refund.go       paid orders that are taken back; the branch `revoke`
//	recover.go      orders that a stop or a failure left unfinished
//
// Every step is stored before the next begins and may be repeated: two
// drivers of one order harm nothing, since states move by compare and set
// and the calls of others are idempotent by the order's id.
package purchase

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/kit/crashpoint"
	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
	"github.com/backlot-video/backlot/services/storefront/internal/order"
	"github.com/backlot-video/backlot/services/storefront/internal/store"
	"github.com/backlot-video/backlot/services/storefront/internal/video"
)

var (
	beforeInsert = crashpoint.New("storefront/order-insert/before")
	afterInsert  = crashpoint.New("storefront/order-insert/after")
	beforeDecide = crashpoint.New("storefront/risk-call/before")
	afterDecide  = crashpoint.New("storefront/risk-call/after")
	beforeSubmit = crashpoint.New("storefront/submit-call/before")
	afterSubmit  = crashpoint.New("storefront/submit-call/after")
	beforeMove   = crashpoint.New("storefront/order-move/before")
	afterMove    = crashpoint.New("storefront/order-move/after")
)

// ErrUnavailable means that a step could not be taken now; the order goes
// on later by itself, or by the same call again.
var ErrUnavailable = errors.New("purchase could not be finished now; it goes on by itself")

// riskPatience is how long an order waits for a risk decision.
const riskPatience = 10 * time.Minute

// Outbox keeps a fact in the transaction of the state that it tells of.
type Outbox interface {
	Add(ctx context.Context, tx *sql.Tx, tenant, fact, key string, data proto.Message) error
}

// Driver drives orders.
type Driver struct {
	Store       *store.Store
	Rules       rulesv1.RulesServiceServer
	Coordinator coordinatorv1.CoordinatorServiceServer
	Outbox      Outbox
	Clock       func() time.Time
	Log         *slog.Logger
}

// Request is what a buyer wants.
type Request struct {
	TenantID, ViewerID, VideoID string
	IdempotencyKey              string
	ExpectedMinor               *int64 // price that the buyer saw; nil: any
	ExpectedCurrency            string
	Instrument, Device          string
}

// Create makes an order, or finds the one with the same key, and drives it
// as far as it goes now. Of an order that was made, it comes back with
// ErrUnavailable too.
func (d *Driver) Create(ctx context.Context, r Request) (order.Order, error) {
	beforeInsert.Hit()
	var o order.Order
	err := d.Store.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		var err error
		o, err = d.insert(ctx, tx, r)
		return err
	})
	if err != nil {
		return order.Order{}, err
	}
	afterInsert.Hit()
	return d.Advance(ctx, o)
}

func (d *Driver) insert(ctx context.Context, tx store.Tx, r Request) (order.Order, error) {
	existing, err := tx.OrderByKey(ctx, r.TenantID, r.ViewerID, r.IdempotencyKey)
	if err == nil {
		if existing.VideoID != r.VideoID {
			return order.Order{}, order.ErrKeyReused
		}
		return existing, nil
	}
	if !errors.Is(err, store.ErrNotFound) {
		return order.Order{}, err
	}
	v, err := tx.Video(ctx, r.TenantID, r.VideoID)
	if err != nil {
		return order.Order{}, err
	}
	if err := mayBuy(v, r); err != nil {
		return order.Order{}, err
	}
	current, err := tx.Entitlement(ctx, r.TenantID, r.ViewerID, r.VideoID)
	if err != nil {
		return order.Order{}, err
	}
	id := uuid.Must(uuid.NewV7()).String()
	wanted := order.Entitlement{TenantID: r.TenantID, ViewerID: r.ViewerID, VideoID: r.VideoID, OrderID: id}
	if _, err := order.Reserve(current, wanted); err != nil {
		return order.Order{}, err
	}
	now := d.Clock()
	o := order.Order{
		ID: id, TenantID: r.TenantID, ViewerID: r.ViewerID, VideoID: r.VideoID, CreatorID: v.CreatorID,
		Price: v.Price, State: order.Pending, IdempotencyKey: r.IdempotencyKey,
		Instrument: r.Instrument, Device: r.Device, CreatedAt: now, UpdatedAt: now,
	}
	inserted, err := tx.InsertOrder(ctx, o)
	if err == nil && !inserted {
		err = order.ErrBusy // the same key in another transaction, just now
	}
	return o, err
}

func mayBuy(v video.Video, r Request) error {
	switch {
	case v.State != video.Published, v.Price.IsZero():
		return video.ErrNotForSale
	case v.CreatorID == r.ViewerID:
		return order.ErrOwnVideo
	case r.ExpectedMinor != nil && (*r.ExpectedMinor != v.Price.Minor || r.ExpectedCurrency != v.Price.Currency):
		return fmt.Errorf("%w: it is %s now", order.ErrPriceChanged, v.Price)
	}
	return nil
}

// Advance takes every step that can be taken now.
func (d *Driver) Advance(ctx context.Context, o order.Order) (order.Order, error) {
	for !o.State.Done() {
		from := o.State
		next, err := d.step(ctx, o)
		if err != nil {
			return o, err
		}
		if next.State == from {
			return o, nil // others are at work; the recovery looks again
		}
		if o, err = d.move(ctx, next, from); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (d *Driver) step(ctx context.Context, o order.Order) (order.Order, error) {
	if o.State == order.Pending {
		return d.decide(ctx, o)
	}
	return d.pay(ctx, o)
}

// pay submits the global transaction, whose id is the order's.
func (d *Driver) pay(ctx context.Context, o order.Order) (order.Order, error) {
	request, err := submission(o)
	if err != nil {
		return o, err
	}
	beforeSubmit.Hit()
	response, err := d.Coordinator.Submit(ctx, request)
	if err != nil {
		return o, fmt.Errorf("%w: submit order %s: %w", ErrUnavailable, o.ID, err)
	}
	afterSubmit.Hit()
	switch transaction := response.GetTransaction(); transaction.GetState() {
	case coordinatorv1.TransactionState_TRANSACTION_STATE_CONFIRMED:
		o.State = order.Paid
	case coordinatorv1.TransactionState_TRANSACTION_STATE_CANCELLED:
		o.State, o.Problem = order.Refused, transaction.GetProblem()
	default:
	}
	return o, nil
}

func submission(o order.Order) (*coordinatorv1.SubmitRequest, error) {
	entitle, err1 := anypb.New(&storefrontv1.EntitleBranch{OrderId: o.ID, ViewerId: o.ViewerID, VideoId: o.VideoID})
	pay, err2 := anypb.New(&settlementv1.PayBranch{
		OrderId: o.ID, ViewerId: o.ViewerID, CreatorId: o.CreatorID, Price: o.Price.ToProto(),
	})
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("submit order %s: %w", o.ID, err)
	}
	return &coordinatorv1.SubmitRequest{
		Xid: o.XID, Mode: coordinatorv1.Mode_MODE_TCC, Wait: coordinatorv1.Wait_WAIT_CONFIRMED,
		Branches: []*coordinatorv1.BranchSpec{
			{BranchId: "entitle", Service: "storefront", Action: "entitle", Payload: entitle},
			{BranchId: "pay", Service: "settlement", Action: "pay", Payload: pay},
		},
	}, nil
}

// move stores a step and the fact that it makes. Where another driver was
// first, its outcome counts.
func (d *Driver) move(ctx context.Context, next order.Order, from order.State) (order.Order, error) {
	next.UpdatedAt = d.Clock()
	beforeMove.Hit()
	moved := false
	err := d.Store.Write(ctx, func(ctx context.Context, tx store.Tx) error {
		var err error
		if moved, err = tx.MoveOrder(ctx, next, from); err != nil || !moved {
			return err
		}
		return d.tell(ctx, tx, next)
	})
	if err != nil {
		return next, fmt.Errorf("store order %s: %w", next.ID, err)
	}
	afterMove.Hit()
	if !moved {
		return d.Store.Order(ctx, next.TenantID, next.ID)
	}
	return next, nil
}

func (d *Driver) tell(ctx context.Context, tx store.Tx, o order.Order) error {
	switch o.State {
	case order.Paid:
		return d.Outbox.Add(ctx, tx.SQL, o.TenantID, "order_paid", o.ID, &storefrontv1.OrderPaid{
			OrderId: o.ID, ViewerId: o.ViewerID, VideoId: o.VideoID, CreatorId: o.CreatorID,
			Price: o.Price.ToProto(), Xid: o.XID,
		})
	case order.Refused:
		return d.Outbox.Add(ctx, tx.SQL, o.TenantID, "order_refused", o.ID, &storefrontv1.OrderRefused{
			OrderId: o.ID, ViewerId: o.ViewerID, VideoId: o.VideoID, Problem: o.Problem,
		})
	default:
		return nil
	}
}
