// Package mq compares kit/mq's consumer and outbox with the simplest use of
// the same broker: one message at a time, each acknowledgement awaited.
//
//	mq.go      the comparisons
//	server.go  the broker, as a process of its own
//	delay.go   a TCP proxy that delays each direction
//	peer.go    Fetch(1) and DoubleAck by nats.go
//	ours.go    Client.Consume with a handler that counts
//	outbox.go  facts from SQL to the broker
//
// Broker and proxy are one other process, so that this one's processor time is
// that of the client alone.
package mq

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/backlot-video/backlot/bench/internal/measure"
)

// Benches are the comparisons of this package.
var Benches = []measure.Bench{{Name: "money/mq", Run: run}}

const (
	peerName = "Fetch(1)+DoubleAck, nats.go v1.55.0"
	rounds   = 5
	stored   = 60_000 // messages on the stream
	delay    = time.Millisecond
)

// side is what one way of consuming took for one message, at best.
type side struct{ rate, cpu float64 } // messages/s, ns of processor time

func run(r *measure.Report) error {
	if dir := os.Getenv(envDir); dir != "" {
		return serve(dir)
	}
	b, err := startBroker()
	if err != nil {
		return err
	}
	defer b.stop()
	if err := fill(b.direct, stored); err != nil {
		return err
	}
	ours, peer, err := compare(b.direct, stored, 3000)
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	far, farPeer, err := compare(b.delayed, stored, 200)
	if err != nil {
		return fmt.Errorf("delayed: %w", err)
	}
	latency, err := latencies(b.direct, 300, 100)
	if err != nil {
		return fmt.Errorf("latency: %w", err)
	}
	size := measure.Extra{Name: "envelope_bytes", Value: payload}
	lines := []measure.Line{
		{Bench: "money/mq", Unit: "messages/s", Ours: ours.rate, Peer: peerName, PeerValue: peer.rate, Higher: true, Extra: []measure.Extra{size}},
		{Bench: "money/mq-2ms", Unit: "messages/s", Ours: far.rate, Peer: peerName, PeerValue: farPeer.rate, Higher: true, Extra: []measure.Extra{size}},
		{Bench: "money/mq-cpu", Unit: "us/message of the client", Ours: ours.cpu / 1e3, Peer: peerName, PeerValue: peer.cpu / 1e3},
		{
			Bench: "money/mq-latency", Unit: "ms at 100 messages/s, p50", Ours: latency[len(latency)/2], Peer: "goal", PeerValue: 1,
			Extra: []measure.Extra{{Name: "p99", Value: latency[len(latency)*99/100]}},
		},
	}
	for _, line := range lines {
		if err := r.Print(line); err != nil {
			return err
		}
	}
	return outbox(r, b)
}

// compare lets both consume in turns and returns the best round of each.
func compare(url string, oursCount, peerCount int) (ours, peer side, err error) {
	for round := range rounds {
		for _, of := range []struct {
			into    *side
			consume func(url, durable string, count int) error
			count   int
		}{{&ours, consumeOurs, oursCount}, {&peer, consumePeer, peerCount}} {
			cpu, start := measure.CPU(), time.Now()
			if err := of.consume(url, fmt.Sprintf("bench_%d", round), of.count); err != nil {
				return ours, peer, err
			}
			took, spent := time.Since(start), measure.CPU()-cpu
			of.into.rate = max(of.into.rate, float64(of.count)/took.Seconds())
			if each := float64(spent.Nanoseconds()) / float64(of.count); of.into.cpu == 0 || each < of.into.cpu {
				of.into.cpu = each
			}
		}
	}
	return ours, peer, nil
}

func sortedMillis(all []time.Duration) []float64 {
	slices.Sort(all)
	millis := make([]float64, len(all))
	for i, d := range all {
		millis[i] = float64(d.Nanoseconds()) / 1e6
	}
	return millis
}
