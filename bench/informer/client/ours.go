package main

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/backlot-video/backlot/bench/informer/view"
	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/informer/kubernetes"
)

var ways = map[string]follow{
	"client-go":  clientGo,
	"typed":      func(server string, told func(int64)) error { return ours(server, pods(), kubernetes.Config{}, told) },
	"mask":       func(server string, told func(int64)) error { return ours(server, pods(), masked, told) },
	"projection": func(server string, told func(int64)) error { return ours(server, new(view.Decoder), projected, told) },
	"projection-paged": func(server string, told func(int64)) error {
		config := projected
		config.Paged = true
		return ours(server, new(view.Decoder), config, told)
	},
}

var (
	masked    = kubernetes.Config{Fields: view.Mask}
	projected = kubernetes.Config{Fields: view.Fields}
)

func pods() informer.Decoder[*corev1.Pod] { return kubernetes.Typed[corev1.Pod]() }

func ours[T any](server string, decoder informer.Decoder[T], config kubernetes.Config, told func(int64)) error {
	config.URL = server
	source, err := kubernetes.New(kubernetes.Pods, config)
	if err != nil {
		return err
	}
	pods := informer.NewDecoded(source, "Pod", decoder, informer.Config{IdleTimeout: kubernetes.IdleTimeout})
	ctx := context.Background()
	go func() { _ = pods.Run(ctx) }()
	go func() {
		_ = pods.Follow(ctx, func(events []informer.Event[T]) {
			for _, e := range events {
				told(e.Object.Revision)
			}
		})
	}()
	return pods.WaitSynced(ctx)
}
