package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
)

const (
	probeEvery   = 50 * time.Millisecond
	probeTimeout = 5 * time.Second
	timerEvery   = 5 * time.Millisecond
	diskEvery    = 20 * time.Millisecond
	diskBlock    = 4 << 10
)

// Trips are the round trips to one other member.
type Trips struct {
	Name          string
	Sent, Lost    int
	P50, P99, Max time.Duration
}

// Measurement is what a member has to stand.
type Measurement struct {
	Peers                     []Trips
	Stall                     time.Duration // longest time that a timer fired late
	DiskP50, DiskP99, DiskMax time.Duration // of 4 KiB written and synced
	Recommended, InForce      string
	Fits                      bool
}

// Measure looks at the other members, the disk and the machine for a while.
// Round trips are requests to the address where members talk to each other.
func (e *Engine) Measure(ctx context.Context, d time.Duration) (Measurement, error) {
	client, err := e.peerClient()
	if err != nil {
		return Measurement{}, err
	}
	defer client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var m Measurement
	var all sync.WaitGroup
	var disk []time.Duration
	var diskFault error
	all.Go(func() { m.Stall = stalls(ctx) })
	all.Go(func() { disk, diskFault = syncs(ctx, e.config.DataDir) })
	others := slices.DeleteFunc(e.Status().Members, func(m Member) bool { return m.Self || m.Name == "" })
	m.Peers = make([]Trips, len(others))
	for i, other := range others {
		all.Go(func() { m.Peers[i] = trips(ctx, client, other) })
	}
	all.Wait()
	if diskFault != nil {
		return m, fmt.Errorf("write to the disk: %w", diskFault)
	}
	m.DiskP50, m.DiskP99, m.DiskMax = quantiles(disk)
	m.judge(e.config.Cluster.Profile)
	return m, nil
}

// judge takes for a stall the worst of the disk, the timers and what round
// trips were at worst beyond the usual.
func (m *Measurement) judge(inForce Profile) {
	trip, stall := time.Duration(0), max(m.Stall, m.DiskMax)
	for _, peer := range m.Peers {
		trip, stall = max(trip, peer.P50), max(stall, peer.Max-peer.P50)
		if peer.Lost > 0 {
			stall = max(stall, probeTimeout)
		}
	}
	m.Recommended, m.Fits = Recommend(trip, stall)
	for name, profile := range Profiles {
		if profile == inForce {
			m.InForce = name
		}
	}
}

func (e *Engine) peerClient() (*http.Client, error) {
	var info transport.TLSInfo
	if files := e.config.Cluster.PeerTLS; !files.Empty() {
		info = files.info()
	}
	round, err := transport.NewTransport(info, probeTimeout)
	if err != nil {
		return nil, fmt.Errorf("certificates of members: %w", err)
	}
	return &http.Client{Transport: round, Timeout: probeTimeout}, nil
}

// trips asks another member again and again.
func trips(ctx context.Context, client *http.Client, other Member) Trips {
	found := Trips{Name: other.Name}
	var took []time.Duration
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for {
		begun := time.Now()
		err := probe(ctx, client, other.PeerURL)
		switch {
		case ctx.Err() != nil:
			found.P50, found.P99, found.Max = quantiles(took)
			return found
		case err != nil:
			found.Lost++
		default:
			took = append(took, time.Since(begun))
		}
		found.Sent++
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
	}
}

func probe(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/")+"/version", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, 4<<10))
	return errors.Join(err, response.Body.Close())
}

// stalls is how late a timer fired at worst.
func stalls(ctx context.Context) (worst time.Duration) {
	for ctx.Err() == nil {
		begun := time.Now()
		select {
		case <-ctx.Done():
		case <-time.After(timerEvery):
			worst = max(worst, time.Since(begun)-timerEvery)
		}
	}
	return worst
}

// syncs writes blocks where the log is kept, and waits for the disk each time.
func syncs(ctx context.Context, dir string) (took []time.Duration, err error) {
	file, err := os.CreateTemp(dir, "measure-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	block := make([]byte, diskBlock)
	for ctx.Err() == nil {
		begun := time.Now()
		if _, err := file.WriteAt(block, 0); err != nil {
			return nil, err
		}
		if err := file.Sync(); err != nil {
			return nil, err
		}
		took = append(took, time.Since(begun))
		select {
		case <-ctx.Done():
		case <-time.After(diskEvery):
		}
	}
	return took, nil
}

func quantiles(of []time.Duration) (p50, p99, longest time.Duration) {
	if len(of) == 0 {
		return 0, 0, 0
	}
	slices.Sort(of)
	return of[len(of)/2], of[len(of)*99/100], of[len(of)-1]
}
