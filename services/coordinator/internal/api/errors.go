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
		return invalid(err)
	case errors.Is(err, tcc.ErrBranch):
		return connect.NewError(connect.CodeAlreadyExists, err)
	case errors.Is(err, tcc.ErrNoBranch):
		return connect.NewError(connect.CodeNotFound, err)
	case errors.Is(err, tcc.ErrDecided), errors.Is(err, tcc.ErrUndecided), errors.Is(err, tcc.ErrMode):
		return connect.NewError(connect.CodeFailedPrecondition, err)
	case errors.Is(err, runner.ErrStopped), errors.Is(err, runner.ErrLost):
		return connect.NewError(connect.CodeUnavailable, err)
	default:
		return err
	}
}

// invalid is InvalidArgument with every fault of a field as a detail.
func invalid(err error) error {
	coded := connect.NewError(connect.CodeInvalidArgument, err)
	request := &errdetails.BadRequest{}
	for _, fault := range fields(err) {
		request.FieldViolations = append(request.FieldViolations, &errdetails.BadRequest_FieldViolation{
			Field: fault.Field, Description: fault.Problem,
		})
	}
	if len(request.GetFieldViolations()) == 0 {
		return coded
	}
	if detail, detailErr := connect.NewErrorDetail(request); detailErr == nil {
		coded.AddDetail(detail)
	}
	return coded
}

// fields are the faults in the tree of an error.
func fields(tree any) []*tcc.FieldError {
	switch wrapped := tree.(type) {
	case *tcc.FieldError:
		return []*tcc.FieldError{wrapped}
	case interface{ Unwrap() error }:
		return fields(wrapped.Unwrap())
	case interface{ Unwrap() []error }:
		var all []*tcc.FieldError
		for _, each := range wrapped.Unwrap() {
			all = append(all, fields(each)...)
		}
		return all
	}
	return nil
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
