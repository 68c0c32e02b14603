package api

import (
	"errors"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/services/transcoder/internal/job"
	"github.com/backlot-video/backlot/services/transcoder/internal/store"
)

// coded gives domain errors their codes. Others stay as they are: the chain
// logs them and answers Internal without detail.
func coded(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return connect.NewError(connect.CodeNotFound, store.ErrNotFound)
	case errors.Is(err, job.ErrTransition):
		return connect.NewError(connect.CodeFailedPrecondition, errors.New("the job has ended already"))
	}
	return err
}
