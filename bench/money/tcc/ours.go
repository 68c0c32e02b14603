package tcc

import (
	"bytes"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/backlot-video/backlot/kit/identity"
)

// coordinator is one of ours.
type coordinator struct {
	dir, name, address, database string
	participants                 *participants
	extra                        []string

	server *server
	keys   *identity.Keys
	token  atomic.Pointer[string]
	signed atomic.Int64 // unix seconds
}

func (o *coordinator) start() (err error) {
	data := filepath.Join(o.dir, o.name)
	args := []string{
		"--data-dir", data, "--ops-listen", "", "--coordinator.kitex-listen", "", "--coordinator.rpc-listen", o.address,
		"--coordinator.participants", "noop=" + o.participants.address, "--cluster-key-file", filepath.Join(o.dir, "cluster.key"),
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

// submit is the whole of it in one call.
func (o *coordinator) submit(c *client, id string) error {
	answer, err := o.call(c, "Submit", fmt.Appendf(nil, `{"xid":%q,"wait":"WAIT_CONFIRMED","branches":[`+
		`{"branchId":"a","service":"noop","action":"pay"},{"branchId":"b","service":"noop","action":"pay"}]}`, id))
	return confirmed(answer, err)
}

func confirmed(answer []byte, err error) error {
	if err == nil && !bytes.Contains(answer, []byte("STATE_CONFIRMED")) {
		err = fmt.Errorf("not confirmed: %s", answer)
	}
	return err
}
