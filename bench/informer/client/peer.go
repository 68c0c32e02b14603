package main

import (
	"context"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

// clientGo is a shared informer of a typed client, with their defaults.
func clientGo(server string, told func(int64)) error {
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server})
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	informer := factory.Core().V1().Pods().Informer()
	tell := func(object any) {
		revision, err := strconv.ParseInt(object.(*corev1.Pod).ResourceVersion, 10, 64)
		if err == nil {
			told(revision)
		}
	}
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: tell, UpdateFunc: func(_, object any) { tell(object) },
	}); err != nil {
		return err
	}
	factory.StartWithContext(context.Background())
	cache.WaitForCacheSync(nil, informer.HasSynced)
	return nil
}
