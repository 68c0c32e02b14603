package api

import (
	"errors"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/services/recommender/internal/engine"
	"github.com/backlot-video/backlot/services/recommender/internal/shelf"
)

var (
	errNoViewer    = connect.NewError(connect.CodeInvalidArgument, errors.New("viewer_id: name the viewer"))
	errOtherViewer = connect.NewError(connect.CodePermissionDenied, errors.New("viewer_id: only operators and services may name others"))
)

// coded gives a fault of the domain its code; others stay as they are and
// become Internal without detail.
func coded(err error) error {
	switch {
	case errors.Is(err, shelf.ErrUnknownVideo):
		return connect.NewError(connect.CodeNotFound, errors.New("video_id: "+shelf.ErrUnknownVideo.Error()))
	case errors.Is(err, engine.ErrBusy):
		return connect.NewError(connect.CodeResourceExhausted, engine.ErrBusy)
	default:
		return err
	}
}
