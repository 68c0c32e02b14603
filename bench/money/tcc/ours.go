package tcc

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/rpc"
	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
)

// coordinator is one of ours.
type coordinator struct {
	dir, name, address, kitex, database string
	participants                        *participants
	extra                               []string

	server *server
	keys   *identity.Keys
	token  atomic.Pointer[string]
	signed atomic.Int64 // unix seconds
}

func (o *coordinator) start() (err error) {
	data := filepath.Join(o.dir, o.name)
	args := []string{
		"--data-dir", data, "--ops-listen", "", "--coordinator.rpc-listen", o.address, "--coordinator.kitex-listen", o.kitex,
		"--coordinator.http-allow", "http://" + o.participants.address, "--cluster-key-file", filepath.Join(o.dir, "cluster.key"),
	}
	if o.database != "" {
		args = append(args, "--database-url", o.database)
	}
	o.server, err = start(diesWithUs(), o.dir, o.name, o.address, nil, filepath.Join(o.dir, "coordinator"), append(args, o.extra...)...)
	if err != nil || o.keys != nil {
		return err
	}
	o.keys, err = identity.OpenKeys(filepath.Join(o.dir, "cluster.key"), nil)
	return err
}

// principal is a signed one, not older than some seconds.
func (o *coordinator) principal() ([2]string, error) {
	now := time.Now()
	if last := o.signed.Load(); now.Unix()-last > 10 && o.signed.CompareAndSwap(last, now.Unix()) || o.token.Load() == nil {
		token, err := o.keys.Sign(identity.Principal{Kind: identity.Service, ID: "bench", TenantID: "main"})
		if err != nil {
			return [2]string{}, err
		}
		o.token.Store(&token)
	}
	return [2]string{identity.Header, *o.token.Load()}, nil
}

func (o *coordinator) call(c *client, method string, body []byte) ([]byte, error) {
	principal, err := o.principal()
	if err != nil {
		return nil, err
	}
	return c.post("http://"+o.address+"/backlot.coordinator.v1.CoordinatorService/"+method, body, principal)
}

// phases are the addresses of a branch by plain HTTP.
func (o *coordinator) phases(names ...string) []byte {
	var all []byte
	for i, name := range names {
		if i > 0 {
			all = append(all, ',')
		}
		all = fmt.Appendf(all, `%q:{"url":%q}`, name, o.participants.url(name))
	}
	return all
}

// submit is the whole of it in one call.
func (o *coordinator) submit() transaction {
	calls := o.phases("try", "confirm", "cancel")
	return func(c *client, id string) error {
		answer, err := o.call(c, "Submit", fmt.Appendf(nil,
			`{"xid":%q,"wait":"WAIT_CONFIRMED","branches":[{"branchId":"a","http":{%s}},{"branchId":"b","http":{%s}}]}`, id, calls, calls))
		return confirmed(answer, err)
	}
}

// submitByKitex is submit by Kitex, as the house's services do it.
func (o *coordinator) submitByKitex() transaction {
	dialer := rpc.NewDialer(rpc.ClientConfig{
		Service: "bench", Signer: o.keys, Resolver: rpc.Static(map[string][]rpc.Endpoint{"coordinator": {{KitexAddress: o.kitex}}}),
	})
	service := coordinatorv1.NewCoordinatorServiceClient(dialer.Conn("coordinator"))
	post := func(phase string) *coordinatorv1.HttpCall {
		return &coordinatorv1.HttpCall{Url: o.participants.url(phase)}
	}
	calls := &coordinatorv1.HttpBranch{Try: post("try"), Confirm: post("confirm"), Cancel: post("cancel")}
	return func(_ *client, id string) error {
		answer, err := service.Submit(context.Background(), &coordinatorv1.SubmitRequest{
			Xid: id, Wait: coordinatorv1.Wait_WAIT_CONFIRMED,
			Branches: []*coordinatorv1.BranchSpec{{BranchId: "a", Http: calls}, {BranchId: "b", Http: calls}},
		})
		if err == nil && answer.GetTransaction().GetState() != coordinatorv1.TransactionState_TRANSACTION_STATE_CONFIRMED {
			err = fmt.Errorf("not confirmed: %v", answer)
		}
		return err
	}
}

// initiate is a transaction as DTM's client drives it: the beginning, for each
// branch its registration and the call of its Try, and the decision, which
// waits for the end.
func (o *coordinator) initiate() transaction {
	calls := o.phases("confirm", "cancel")
	try := o.participants.url("try")
	return func(c *client, id string) error {
		if _, err := o.call(c, "OpenTransaction", fmt.Appendf(nil, `{"xid":%q}`, id)); err != nil {
			return err
		}
		for _, branch := range []string{"a", "b"} {
			body := fmt.Appendf(nil, `{"xid":%q,"branch":{"branchId":%q,"http":{%s}}}`, id, branch, calls)
			if _, err := o.call(c, "RegisterBranch", body); err != nil {
				return err
			}
			if _, err := c.post(try, []byte("{}")); err != nil {
				return err
			}
		}
		answer, err := o.call(c, "ConfirmTransaction", fmt.Appendf(nil, `{"xid":%q,"wait":"WAIT_CONFIRMED"}`, id))
		return confirmed(answer, err)
	}
}

func confirmed(answer []byte, err error) error {
	if err == nil && !bytes.Contains(answer, []byte("STATE_CONFIRMED")) {
		err = fmt.Errorf("not confirmed: %s", answer)
	}
	return err
}
