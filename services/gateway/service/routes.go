package service

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/backlot-video/backlot/kit/lifecycle"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	optionsv1 "github.com/backlot-video/backlot/proto/gen/backlot/options/v1"
)

// maxUpload is the most that one request of an upload may carry; a file of
// any size comes in several.
const maxUpload = 64 << 30

// defaultObjects are the routes of the house: each service's contract by
// its path, uploads, media and the console. They are made at the first
// start and then belong to the operator.
func defaultObjects() []lifecycle.Default {
	var objects []lifecycle.Default
	for _, service := range []string{"configstore", "storefront", "coordinator", "settlement", "rules", "recommender", "transcoder", "gateway"} {
		objects = append(objects, lifecycle.Default{Kind: "Cluster", Name: service, Spec: &gatewayv1.Cluster{
			Endpoints: &gatewayv1.Cluster_Service{Service: service},
		}})
	}
	for _, service := range []string{"storefront", "coordinator", "settlement", "rules", "gateway"} {
		objects = append(objects, contract(service, "v1", 15*time.Second))
	}
	return append(objects,
		contract("configstore", "v1", 0), // watches have no end
		contract("transcoder", "v1alpha1", 0),
		contract("recommender", "v1alpha1", 2*time.Minute),
		route("uploads", "/uploads/", &gatewayv1.Route{
			Target: &gatewayv1.Route_Cluster{Cluster: "transcoder"},
			Policy: &gatewayv1.RoutePolicy{
				Principals: []optionsv1.Principal{optionsv1.Principal_PRINCIPAL_CREATOR},
				Timeout:    durationpb.New(0), MaxRequestBytes: maxUpload,
			},
		}),
		route("media", "/media/", &gatewayv1.Route{
			Target: &gatewayv1.Route_Media{Media: &gatewayv1.MediaTarget{}},
			Policy: &gatewayv1.RoutePolicy{Timeout: durationpb.New(0)},
		}),
		route("console", "/", &gatewayv1.Route{
			Target:  &gatewayv1.Route_Console{Console: &gatewayv1.ConsoleTarget{}},
			Methods: []string{"GET", "HEAD"},
			Policy:  &gatewayv1.RoutePolicy{Compression: &gatewayv1.Compression{}}, // the same files for everybody
		}),
	)
}

// contract routes a service's proto package to it; the service itself
// decides by method who may call.
func contract(service, version string, timeout time.Duration) lifecycle.Default {
	return route("api-"+service, "/backlot."+service+"."+version+".", &gatewayv1.Route{
		Target: &gatewayv1.Route_Cluster{Cluster: service},
		Policy: &gatewayv1.RoutePolicy{Timeout: durationpb.New(timeout)},
	})
}

func route(name, prefix string, r *gatewayv1.Route) lifecycle.Default {
	r.Path = &gatewayv1.PathMatch{Match: &gatewayv1.PathMatch_Prefix{Prefix: prefix}}
	return lifecycle.Default{Kind: "Route", Name: name, Spec: r}
}
