//go:build linux

package configstore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// etcds are members of etcd, as it comes.
type etcds struct {
	servers []*server
	urls    []string
	clients []*clientv3.Client
}

// connections of etcd's client, which share the load: quicker than one.
const connections = 4

func startEtcds(r *rig, n int) (*etcds, error) {
	addresses, err := freeAddresses(2 * n)
	if err != nil {
		return nil, err
	}
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("m%d=http://%s", i, addresses[2*i+1]))
	}
	e := new(etcds)
	for i := range n {
		client, peer := "http://"+addresses[2*i], "http://"+addresses[2*i+1]
		s, err := r.start("etcd", "configstore", "etcd", "--name", fmt.Sprintf("m%d", i), "--data-dir", filepath.Join(r.dir, fmt.Sprintf("etcd-%d-%d", n, i)),
			"--listen-client-urls", client, "--advertise-client-urls", client, "--listen-peer-urls", peer,
			"--initial-advertise-peer-urls", peer, "--initial-cluster", strings.Join(all, ","), "--log-level", "error")
		if err != nil {
			return nil, err
		}
		e.servers = append(e.servers, s)
		e.urls = append(e.urls, client)
	}
	for range connections {
		client, err := clientv3.New(clientv3.Config{Endpoints: e.urls, Logger: zap.NewNop()})
		if err != nil {
			return nil, err
		}
		e.clients = append(e.clients, client)
	}
	return e, awaitReady(e.servers, func(ctx context.Context) error {
		_, err := e.clients[0].Put(ctx, "ready", "")
		return err
	})
}

func (e *etcds) close() error {
	var faults []error
	for _, c := range e.clients {
		faults = append(faults, c.Close())
	}
	for _, s := range e.servers {
		s.end()
	}
	return errors.Join(faults...)
}

func (e *etcds) client(n int) *clientv3.Client { return e.clients[n%len(e.clients)] }

// key is as long as the path of one of our objects.
func key(name string) string { return "/backlot/v1/main/" + kind + "/default/" + name }

// value is as large as one of our objects, its release's id included.
func value(version int) (string, error) {
	packed, err := anypb.New(spec(version))
	if err != nil {
		return "", err
	}
	encoded, err := proto.Marshal(&configstorev1.Object{
		Labels: map[string]string{"team": "bench"}, Spec: packed, ReleaseId: strings.Repeat("0", 36), UpdatedAt: 1 << 50,
	})
	return string(encoded), err
}

func (e *etcds) put(ctx context.Context, client, n int) error {
	value, err := value(int(versions.Add(1)))
	if err != nil {
		return err
	}
	_, err = e.client(client).Put(ctx, key(objectName(client, n)), value)
	return err
}
