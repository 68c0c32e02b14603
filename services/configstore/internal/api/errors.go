package api

import (
	"context"
	"errors"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"connectrpc.com/connect"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/services/configstore/internal/ack"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
	"github.com/backlot-video/backlot/services/configstore/internal/seal"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

// byError is in order: of several faults the first code counts.
var byError = []struct {
	of   error
	code connect.Code
}{
	{object.ErrInvalid, connect.CodeInvalidArgument},
	{object.ErrTooLarge, connect.CodeInvalidArgument},
	{errForbidden, connect.CodePermissionDenied},
	{object.ErrReserved, connect.CodePermissionDenied},
	{object.ErrUnknownKind, connect.CodeNotFound},
	{object.ErrIncompatible, connect.CodeFailedPrecondition},
	{object.ErrReference, connect.CodeFailedPrecondition},
	{object.ErrExists, connect.CodeAlreadyExists},
	{object.ErrConflict, connect.CodeAborted},
	{store.ErrNotFound, connect.CodeNotFound},
	{store.ErrCompacted, connect.CodeOutOfRange},
	{store.ErrReview, connect.CodeFailedPrecondition},
	{store.ErrRekey, connect.CodeFailedPrecondition},
	{store.ErrSealKey, connect.CodeFailedPrecondition},
	{seal.ErrDamaged, connect.CodeDataLoss},
	{store.ErrDrafts, connect.CodeResourceExhausted},
	{store.ErrCanary, connect.CodeFailedPrecondition},
	{store.ErrCanaries, connect.CodeResourceExhausted},
	{store.ErrBusy, connect.CodeUnavailable},
	{ack.ErrFull, connect.CodeResourceExhausted},
	{engine.ErrClosed, connect.CodeUnavailable},
	{engine.ErrMember, connect.CodeFailedPrecondition},
	{engine.ErrQuorum, connect.CodeFailedPrecondition},
	{engine.ErrNotReady, connect.CodeFailedPrecondition},
	{context.Canceled, connect.CodeCanceled},
	{context.DeadlineExceeded, connect.CodeDeadlineExceeded},
}

// coded gives an error of the domain its code; what has none stays as it is
// and is an internal error.
func coded(err error) error {
	if done := new(connect.Error); errors.As(err, &done) {
		return err
	}
	for _, row := range byError {
		if errors.Is(err, row.of) {
			shown := connect.NewError(row.code, err)
			addFaults(shown, err)
			return shown
		}
	}
	// What the engine says of itself, and not of a request.
	switch found, _ := status.FromError(err); found.Code() {
	case codes.ResourceExhausted:
		return connect.NewError(connect.CodeResourceExhausted, err)
	case codes.Unavailable:
		return connect.NewError(connect.CodeUnavailable, err)
	}
	return err
}

// addFaults adds the faults as the same detail that broken rules of requests
// have.
func addFaults(shown *connect.Error, err error) {
	var faults object.Faults
	if !errors.As(err, &faults) {
		return
	}
	violations := new(validate.Violations)
	for _, fault := range faults {
		violations.Violations = append(violations.Violations, &validate.Violation{
			Field:   &validate.FieldPath{Elements: []*validate.FieldPathElement{{FieldName: proto.String(fault.Path)}}},
			RuleId:  proto.String(fault.Rule),
			Message: proto.String(fault.Message),
		})
	}
	if detail, err := connect.NewErrorDetail(violations); err == nil {
		shown.AddDetail(detail)
	}
}
