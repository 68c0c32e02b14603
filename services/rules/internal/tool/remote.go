package tool

import (
	"github.com/backlot-video/backlot/kit/tool"
	"github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1/configstorev1connect"
	"github.com/backlot-video/backlot/proto/gen/backlot/rules/v1/rulesv1connect"
)

// remote is a running Backlot with the services that are called.
type remote struct{ tool.Remote }

func (r *remote) config() configstorev1connect.ConfigServiceClient {
	return configstorev1connect.NewConfigServiceClient(r.Client, r.URL)
}

func (r *remote) lists() rulesv1connect.ListServiceClient {
	return rulesv1connect.NewListServiceClient(r.Client, r.URL)
}

func (r *remote) releases() rulesv1connect.ReleaseServiceClient {
	return rulesv1connect.NewReleaseServiceClient(r.Client, r.URL)
}
