package api

import (
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// keySpace is where xids of idempotency keys lie.
var keySpace = uuid.MustParse("6f0f3a4e-3a0b-4b7c-9f57-5a6f0c0d1b52")

// xidOf is the caller's xid, or that of its idempotency key, or a new one.
func xidOf(tenantID, xid, key string) (string, error) {
	switch {
	case xid != "" && key != "":
		return "", &tcc.FieldError{Field: "idempotency_key", Problem: "it is for requests without an xid"}
	case xid != "":
		return xid, nil
	case key != "":
		return uuid.NewSHA1(keySpace, []byte(tenantID+"\x00"+key)).String(), nil
	}
	made, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make an xid: %w", err)
	}
	return made.String(), nil
}

// check reports every address of a transaction that must not be called.
func (h *Handler) check(spec tcc.Spec) error {
	var faults []error
	if spec.NotifyURL != "" {
		faults = append(faults, h.checkURL("notify_url", spec.NotifyURL))
	}
	for i, branch := range spec.Branches {
		faults = append(faults, h.checkBranch(fmt.Sprintf("branches[%d]", i), branch))
	}
	return errors.Join(faults...)
}

// checkBranch is check for a branch at field.
func (h *Handler) checkBranch(field string, branch tcc.Branch) error {
	if branch.HTTP == nil {
		return nil
	}
	var faults []error
	for phase := tcc.Try; phase <= tcc.Cancel; phase++ {
		if call := branch.HTTP.Of(phase); call != nil {
			faults = append(faults, h.checkURL(field+".http."+phase.String()+".url", call.URL))
		}
	}
	return errors.Join(faults...)
}

func (h *Handler) checkURL(field, url string) error {
	if err := h.config.Allow(url); err != nil {
		return &tcc.FieldError{Field: field, Problem: err.Error()}
	}
	return nil
}
