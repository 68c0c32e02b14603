// Package kubernetes proves kit/informer/kubernetes and the configstore's
// EndpointSlices against a real kube-apiserver, which keeps its own state in
// `configstore etcd`. scripts/kubernetes.sh builds the server and runs the tests
// in a network namespace of their own: an EndpointSlice may not name a loopback
// address.
//
//	server_test.go    the API server, and objects in it
//	informer_test.go  an informer lists, follows, loses its server and its rights
//	gateway_test.go   a gateway sends to the endpoints of slices
package kubernetes
