// Package tool is the command lines of configstore, for operators: one about
// the members that keep the configuration, one about the configuration.
//
//	tool.go      the verbs, and what they share
//	status.go    status, doctor
//	member.go    member add|remove, lead
//	snapshot.go  save, restore, defrag
//	etcd.go      etcd
//	key.go       key, rekey
//	config.go    what verbs about objects share
//	get.go       get, kinds
//	apply.go     apply, diff
//	edit.go      edit
//	history.go   history, rollback
//	draft.go     draft
//	canary.go    canary
//	rollout.go   status of the instances
package tool

import (
	"time"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/tool"
	"github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1/configstorev1connect"
)

// About says what the tool is for.
const About = "looks after the members that keep the configuration; without a verb it runs the service"

// Verbs are configstore's, in the order in which the help lists them.
func Verbs() []tool.Verb {
	return []tool.Verb{statusVerb(), doctorVerb(), memberVerb(), leadVerb(), saveVerb(), restoreVerb(), defragVerb(), keyVerb(), rekeyVerb(), etcdVerb()}
}

// remote is a running Backlot, and how to show what it answers.
type remote struct {
	tool.Remote
	json bool
	std  *tool.Stdio
}

func (r *remote) register(set *config.Set, std *tool.Stdio) {
	r.std = std
	r.Register(set)
	set.Bool(&r.json, "json", false, "print JSON by the API's names")
}

// cluster is the service, for calls that may take so much longer than others.
func (r *remote) cluster(longer time.Duration) configstorev1connect.ClusterServiceClient {
	client := *r.Client
	client.Timeout += longer
	return configstorev1connect.NewClusterServiceClient(&client, r.URL)
}
