package api

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/catalog"
	"github.com/backlot-video/backlot/services/rules/internal/part"
	"github.com/backlot-video/backlot/services/rules/internal/release"
	"github.com/backlot-video/backlot/services/rules/list"
)

// coded gives an error of the domain its code. Others are passed on: the chain
// makes them Internal without detail.
func coded(err error) error {
	switch {
	case errors.Is(err, errNoFact), errors.Is(err, fact.ErrMalformed), errors.Is(err, fact.ErrTooLarge):
		return connect.NewError(connect.CodeInvalidArgument, err)
	case errors.Is(err, part.ErrDamaged), errors.Is(err, list.ErrEntry), errors.Is(err, list.ErrTooLarge):
		return connect.NewError(connect.CodeInvalidArgument, err)
	case errors.Is(err, catalog.ErrUnknownFactType), errors.Is(err, catalog.ErrUnknownList):
		return connect.NewError(connect.CodeNotFound, err)
	case errors.Is(err, catalog.ErrNoRuleset), errors.Is(err, catalog.ErrNewerSchema), errors.Is(err, errFolder):
		return connect.NewError(connect.CodeFailedPrecondition, err)
	case errors.Is(err, release.ErrInvalid):
		return connect.NewError(connect.CodeInvalidArgument, err)
	case errors.Is(err, release.ErrUnknownRuleset), errors.Is(err, release.ErrUnknownVersion):
		return connect.NewError(connect.CodeNotFound, err)
	case errors.Is(err, release.ErrState), errors.Is(err, release.ErrBadVersion), errors.Is(err, release.ErrNoConfigstore):
		return connect.NewError(connect.CodeFailedPrecondition, err)
	case errors.Is(err, release.ErrConflict):
		return connect.NewError(connect.CodeAborted, err)
	case errors.Is(err, context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, err)
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, err)
	}
	return err
}
