package api

import (
	"errors"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// coded gives an error of the domain its code. Others are passed on: the chain
// makes them Internal without detail.
func coded(err error) error {
	var busy *runner.BusyError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &busy):
		return refusal(busy)
	case errors.Is(err, runner.ErrNotFound):
		return connect.NewError(connect.CodeNotFound, runner.ErrNotFound)
	case errors.Is(err, runner.ErrConflict):
		return connect.NewError(connect.CodeAlreadyExists, err)
	case errors.Is(err, tcc.ErrSpec), errors.Is(err, errToken):
		return connect.NewError(connect.CodeInvalidArgument, err)
	case errors.Is(err, runner.ErrStopped), errors.Is(err, runner.ErrLost):
		return connect.NewError(connect.CodeUnavailable, err)
	default:
		return err
	}
}

// refusal is ResourceExhausted with the time after which to try again.
func refusal(busy *runner.BusyError) error {
	err := connect.NewError(connect.CodeResourceExhausted, busy)
	detail, detailErr := connect.NewErrorDetail(&errdetails.RetryInfo{RetryDelay: durationpb.New(busy.RetryAfter)})
	if detailErr == nil {
		err.AddDetail(detail)
	}
	return err
}
