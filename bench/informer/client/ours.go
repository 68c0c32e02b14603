package main

import (
	"context"

	corev1 "k8s.io/api/core/v1"

	"github.com/backlot-video/backlot/bench/informer/view"
	"github.com/backlot-video/backlot/kit/informer"
	"github.com/backlot-video/backlot/kit/informer/kubernetes"
)

var ways = map[string]follow{
	"client-go":         clientGo,
	"read-only":         readOnly,
	"typed":             way(pods, kubernetes.Config{}, false),
	"mask":              way(pods, kubernetes.Config{Fields: view.Mask}, false),
	"mask-inline":       way(pods, kubernetes.Config{Fields: view.Mask}, true),
	"projection":        way(views, kubernetes.Config{Fields: view.Fields}, false),
	"projection-inline": way(views, kubernetes.Config{Fields: view.Fields}, true),
	"projection-paged":  way(views, kubernetes.Config{Fields: view.Fields, Paged: true}, false),
}

func pods() informer.Decoder[*corev1.Pod] { return kubernetes.Typed[corev1.Pod]() }

func views() informer.Decoder[view.Pod] { return new(view.Decoder) }

// way is an informer whose handler has a goroutine of its own, or is inline.
func way[T any](decoder func() informer.Decoder[T], config kubernetes.Config, inline bool) follow {
	return func(server string, told func(int64)) error {
		config.URL = server
		source, err := kubernetes.New(kubernetes.Pods, config)
		if err != nil {
			return err
		}
		pods := informer.NewDecoded(source, "Pod", decoder(), informer.Config{IdleTimeout: kubernetes.IdleTimeout})
		handle := func(events []informer.Event[T]) {
			for _, e := range events {
				told(e.Object.Revision)
			}
		}
		ctx := context.Background()
		if inline {
			pods.OnChange(handle)
		} else {
			go func() { _ = pods.Follow(ctx, handle) }()
		}
		go func() { _ = pods.Run(ctx) }()
		return pods.WaitSynced(ctx)
	}
}
