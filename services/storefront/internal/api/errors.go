// Package api serves storefront's contract: it turns messages into calls of
// the domain and back.
//
//	errors.go     domain faults to codes
//	account.go    AccountService
//	catalogue.go  CatalogueService
//	order.go      OrderService
//	convert.go    domain values to messages
//
// Who may call a method at all is decided before by kit/rpc; what depends
// on the object (own, published) is decided here.
package api

import (
	"errors"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/services/storefront/internal/credential"
	"github.com/backlot-video/backlot/services/storefront/internal/order"
	"github.com/backlot-video/backlot/services/storefront/internal/purchase"
	"github.com/backlot-video/backlot/services/storefront/internal/store"
	"github.com/backlot-video/backlot/services/storefront/internal/video"
)

var codes = []struct {
	fault error
	code  connect.Code
}{
	{store.ErrNotFound, connect.CodeNotFound},
	{video.ErrPrice, connect.CodeInvalidArgument},
	{video.ErrNotReady, connect.CodeFailedPrecondition},
	{video.ErrNotPublished, connect.CodeFailedPrecondition},
	{video.ErrNotForSale, connect.CodeFailedPrecondition},
	{order.ErrOwned, connect.CodeAlreadyExists},
	{order.ErrBusy, connect.CodeAborted},
	{order.ErrPriceChanged, connect.CodeFailedPrecondition},
	{order.ErrOwnVideo, connect.CodeFailedPrecondition},
	{order.ErrNotPaid, connect.CodeFailedPrecondition},
	{order.ErrRefund, connect.CodeFailedPrecondition},
	{order.ErrKeyReused, connect.CodeInvalidArgument},
	{purchase.ErrUnavailable, connect.CodeUnavailable},
	{credential.ErrWrong, connect.CodeUnauthenticated},
}

// coded gives a fault of the domain its code; others stay as they are and
// become Internal without detail.
func coded(err error, what string) error {
	if err == nil {
		return nil
	}
	for _, known := range codes {
		if errors.Is(err, known.fault) {
			return connect.NewError(known.code, prefixed{what, known.fault, err})
		}
	}
	return err
}

// prefixed is a fault with the field or object it is about. Of an
// unavailable dependency only the fact is shown.
type prefixed struct {
	what  string
	known error
	err   error
}

func (p prefixed) Error() string {
	if errors.Is(p.known, purchase.ErrUnavailable) {
		return p.what + ": " + p.known.Error()
	}
	return p.what + ": " + p.err.Error()
}

func (p prefixed) Unwrap() error { return p.err }

func invalid(field, text string) error {
	return connect.NewError(connect.CodeInvalidArgument, errors.New(field+": "+text))
}
