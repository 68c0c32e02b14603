package api

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	"github.com/backlot-video/backlot/services/coordinator/internal/message"
	"github.com/backlot-video/backlot/services/coordinator/internal/runner"
	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

// errToken means a page token that this service has not made.
var errToken = errors.New("page_token: not one of this service")

// specOf reads what is asked for; the modes have the contract's numbers.
func specOf(req *coordinatorv1.SubmitRequest) tcc.Spec {
	spec := tcc.Spec{
		Mode: tcc.Mode(req.GetMode()), Policy: message.PolicyOf(req.GetPolicy()), NotifyURL: req.GetNotifyUrl(),
	}
	if req.GetMode() == coordinatorv1.Mode_MODE_UNSPECIFIED {
		spec.Mode = tcc.TCC
	}
	for _, branch := range req.GetBranches() {
		spec.Branches = append(spec.Branches, message.BranchOf(branch))
	}
	return spec
}

// transaction shows one; the states have the contract's numbers.
func transaction(status runner.Status) *coordinatorv1.Transaction {
	t := &coordinatorv1.Transaction{
		Xid: status.XID, TenantId: status.TenantID,
		Mode:      coordinatorv1.Mode(status.Spec.Mode),
		State:     coordinatorv1.TransactionState(status.State),
		Problem:   status.Problem,
		CreatedAt: status.CreatedAt.UnixMicro(), UpdatedAt: status.UpdatedAt.UnixMicro(), ExpiresAt: status.ExpiresAt.UnixMicro(),
		Policy: message.Policy(status.Spec.Policy), NotifyUrl: status.Spec.NotifyURL,
	}
	for i, branch := range status.Spec.Branches {
		spec := message.Branch(branch)
		spec.Payload = payload(branch.PayloadType, branch.Payload)
		for _, call := range []*coordinatorv1.HttpCall{spec.GetHttp().GetTry(), spec.GetHttp().GetConfirm(), spec.GetHttp().GetCancel()} {
			hide(call.GetHeaders())
		}
		progress := status.Branches[i]
		t.Branches = append(t.Branches, &coordinatorv1.Branch{
			Spec: spec, State: coordinatorv1.BranchState(progress.State),
			Attempts: uint32(progress.Attempts), LastError: progress.LastError, Forced: progress.Forced,
		})
	}
	return t
}

// hide takes the values away of headers, which may be secrets.
func hide(headers map[string]string) {
	for name := range headers {
		headers[name] = "(hidden)"
	}
}

// token is a place in the list as callers pass it back.
func token(place runner.Cursor) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(place.CreatedAt.UnixMicro(), 10) + " " + place.XID))
}

// parseToken is token's inverse; an empty one is the beginning.
func parseToken(text string) (runner.Cursor, error) {
	if text == "" {
		return runner.Cursor{}, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return runner.Cursor{}, fmt.Errorf("%w: %w", errToken, err)
	}
	micros, xid, found := strings.Cut(string(raw), " ")
	createdAt, err := strconv.ParseInt(micros, 10, 64)
	if !found || err != nil || xid == "" {
		return runner.Cursor{}, errToken
	}
	return runner.Cursor{CreatedAt: time.UnixMicro(createdAt).UTC(), Key: runner.Key{XID: xid}}, nil
}
