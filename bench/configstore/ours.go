//go:build linux

package configstore

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/kit/configclient"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/rpc"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/proto/rpcdesc"
)

// members are those of a configstore.
type members struct {
	servers   []*server
	endpoints []rpc.Endpoint
	keys      *identity.Keys
	dialers   []*rpc.Dialer
}

func startMembers(r *rig, n int) (*members, error) {
	addresses, err := freeAddresses(3 * n)
	if err != nil {
		return nil, err
	}
	key := filepath.Join(r.dir, "cluster.key")
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("m%d=http://%s", i, addresses[3*i+2]))
	}
	secret := filepath.Join(r.dir, fmt.Sprintf("secret-%d.key", n))
	if out, err := exec.CommandContext(context.Background(), filepath.Join(r.dir, "configstore"), "key", secret).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("configstore key: %w: %s", err, out)
	}
	m := new(members)
	for i := range n {
		args := []string{
			"--data-dir", filepath.Join(r.dir, fmt.Sprintf("ours-%d-%d", n, i)), "--cluster-key-file", key, "--configstore.key-file", secret, "--ops-listen", "",
			"--configstore.rpc-listen", addresses[3*i], "--configstore.kitex-listen", addresses[3*i+1],
		}
		if n > 1 {
			args = append(args, "--configstore.member", fmt.Sprintf("m%d", i), "--configstore.peer-listen", addresses[3*i+2],
				"--configstore.members", strings.Join(all, ","))
		}
		s, err := r.start("configstore", "configstore", args...)
		if err != nil {
			return nil, err
		}
		m.servers = append(m.servers, s)
		m.endpoints = append(m.endpoints, rpc.Endpoint{Address: addresses[3*i], KitexAddress: addresses[3*i+1]})
		if i == 0 { // which makes the key
			if err := awaitReady(m.servers, func(context.Context) error {
				m.keys, err = identity.OpenKeys(key, nil)
				return err
			}); err != nil {
				return nil, err
			}
		}
	}
	client := m.client(true, 1)
	return m, awaitReady(m.servers, func(ctx context.Context) error {
		_, err := client.ListKinds(ctx, &configstorev1.ListKindsRequest{})
		return err
	})
}

// client calls over Kitex, or over Connect, as services of the house and tools
// do.
func (m *members) client(kitex bool, connections int) configstorev1.ConfigServiceServer {
	return configclient.New(m.conn(kitex, connections), nil)
}

// plain calls over Kitex, once for each request.
func (m *members) plain(connections int) configstorev1.ConfigServiceServer {
	return configstorev1.NewConfigServiceClient(m.conn(true, connections))
}

func (m *members) conn(kitex bool, connections int) rpcdesc.Conn {
	endpoints := make([]rpc.Endpoint, len(m.endpoints))
	for n, e := range m.endpoints {
		if endpoints[n] = e; !kitex {
			endpoints[n].KitexAddress = ""
		}
	}
	dialer := rpc.NewDialer(rpc.ClientConfig{
		Service: "bench", Signer: m.keys, Resolver: rpc.Static(map[string][]rpc.Endpoint{"configstore": endpoints}), MaxIdleConns: connections,
	})
	m.dialers = append(m.dialers, dialer)
	return dialer.Conn("configstore")
}

func (m *members) close() error {
	var faults []error
	for _, d := range m.dialers {
		faults = append(faults, d.Close())
	}
	for _, s := range m.servers {
		s.end()
	}
	return errors.Join(faults...)
}

// kind of the objects: one that nothing in the configstore's own process
// follows, for that would be measured too.
const kind = "RateTable"

// spec is different in each version.
func spec(version int) *rulesv1.RateTable {
	return &rulesv1.RateTable{Base: "CNY", Rates: []*rulesv1.RateTable_Rate{
		{Currency: "USD", Worth: "7.1012"}, {Currency: "EUR", Worth: "7.8130"}, {Currency: "JPY", Worth: fmt.Sprintf("0.%09d", version%1_000_000_000)},
	}}
}

func put(name string, version int) (*configstorev1.Change, error) {
	packed, err := anypb.New(spec(version))
	return &configstorev1.Change{Change: &configstorev1.Change_Put{Put: &configstorev1.Object{
		Key: &configstorev1.Key{Kind: kind, Name: name}, Labels: map[string]string{"team": "bench"}, Spec: packed,
	}}}, err
}

// versions makes what is written differ from what is there: ours would not
// write it.
var versions atomic.Int64

// objectName is one of the hundred that each client writes in turn.
func objectName(client, n int) string { return fmt.Sprintf("c%03d-%02d", client, n%100) }

func apply(client configstorev1.ConfigServiceServer) func(ctx context.Context, client, n int) error {
	return func(ctx context.Context, number, n int) error {
		change, err := put(objectName(number, n), int(versions.Add(1)))
		if err != nil {
			return err
		}
		answer, err := client.Apply(ctx, &configstorev1.ApplyRequest{Reason: "benchmark", Changes: []*configstorev1.Change{change}})
		if err == nil && answer.GetRelease().GetId() == "" {
			err = errors.New("nothing was written")
		}
		return err
	}
}
