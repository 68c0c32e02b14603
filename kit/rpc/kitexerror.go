package rpc

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"connectrpc.com/connect"
	"github.com/cloudwego/kitex/pkg/kerrors"
	"github.com/cloudwego/kitex/pkg/remote"
	"github.com/cloudwego/kitex/pkg/remote/trans/nphttp2/codes"
	"github.com/cloudwego/kitex/pkg/remote/trans/nphttp2/status"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

const (
	// extraStatus names the encoded error in what Kitex carries beside a
	// business error's code: its own message field cannot hold every text.
	extraStatus = "status"
	// maxStatusBytes bounds it by what headers may hold. Details that do not
	// fit are left out, and a longer message is cut.
	maxStatusBytes = 8 << 10
)

// toKitex returns the only kind of error that Kitex carries as it is.
func toKitex(err error) error {
	coded := new(connect.Error)
	if !errors.As(err, &coded) {
		coded = connect.NewError(connect.CodeInternal, errInternal)
	}
	carried := &rpcstatus.Status{Code: int32(coded.Code()), Message: coded.Message()}
	if len(carried.Message) > maxStatusBytes/2 {
		carried.Message = strings.ToValidUTF8(carried.Message[:maxStatusBytes/2], "")
	}
	size := len(carried.Message)
	for _, detail := range coded.Details() {
		if size += len(detail.Bytes()) + len(detail.Type()); size > maxStatusBytes {
			break
		}
		carried.Details = append(carried.Details, &anypb.Any{
			TypeUrl: "type.googleapis.com/" + detail.Type(), Value: detail.Bytes(),
		})
	}
	raw, err := proto.Marshal(carried)
	if err != nil {
		return kerrors.NewBizStatusError(int32(coded.Code()), coded.Code().String())
	}
	return kerrors.NewBizStatusErrorWithExtra(int32(coded.Code()), coded.Code().String(),
		map[string]string{extraStatus: base64.StdEncoding.EncodeToString(raw)})
}

// fromKitex returns the *connect.Error of whatever a Kitex call ended with.
func (m *member) fromKitex(ctx context.Context, err error) error {
	if business, ok := kerrors.FromBizStatusError(err); ok {
		return fromStatus(business.BizStatusCode(), business.BizMessage(), business.BizExtra()[extraStatus])
	}
	if ctx.Err() != nil {
		return contextError(ctx)
	}
	var transport *remote.TransError
	switch {
	case kerrors.IsTimeoutError(err):
		return connect.NewWireError(connect.CodeDeadlineExceeded, errors.New("call timed out"))
	case errors.As(err, &transport):
		switch transport.TypeID() {
		case remote.UnknownMethod, remote.UnknownService:
			return connect.NewWireError(connect.CodeUnimplemented, errors.New("method is not served"))
		case remote.InternalError, remote.ProtocolError:
			return connect.NewWireError(connect.CodeInternal, errInternal)
		}
	}
	if answer, ok := status.FromError(err); ok {
		switch answer.Code() {
		case codes.Unimplemented:
			return connect.NewWireError(connect.CodeUnimplemented, errors.New("method is not served"))
		case codes.DeadlineExceeded:
			return connect.NewWireError(connect.CodeDeadlineExceeded, errors.New("call timed out"))
		}
	}
	return m.unreachable(err)
}

func fromStatus(code int32, message, encoded string) error {
	if code < int32(connect.CodeCanceled) || code > int32(connect.CodeUnauthenticated) {
		return connect.NewWireError(connect.CodeUnknown, fmt.Errorf("unknown code %d: %s", code, message))
	}
	carried := new(rpcstatus.Status)
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err == nil {
		err = proto.Unmarshal(raw, carried)
	}
	if err != nil || encoded == "" {
		return connect.NewWireError(connect.Code(code), errors.New(message))
	}
	coded := connect.NewWireError(connect.Code(code), errors.New(carried.GetMessage()))
	for _, detail := range carried.GetDetails() {
		if kept, err := connect.NewErrorDetail(detail); err == nil {
			coded.AddDetail(kept)
		}
	}
	return coded
}
