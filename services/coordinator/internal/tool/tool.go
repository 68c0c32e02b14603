// Package tool is the command line of coordinator, for operators.
//
//	tool.go    the verbs, and what they share
//	list.go    list, get
//	decide.go  retry, cancel, force
package tool

import (
	"strings"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/tool"
	"github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1/coordinatorv1connect"
)

// About says what the tool is for.
const About = "looks after the global transactions of a running Backlot; without a verb it runs the service"

// Verbs are coordinator's, in the order in which the help lists them.
func Verbs() []tool.Verb {
	return []tool.Verb{listVerb(), getVerb(), retryVerb(), cancelVerb(), forceVerb()}
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

func (r *remote) transactions() coordinatorv1connect.CoordinatorServiceClient {
	return coordinatorv1connect.NewCoordinatorServiceClient(r.Client, r.URL)
}

// short is an enumeration's value as people write it.
func short(name, prefix string) string {
	return strings.ToLower(strings.TrimPrefix(name, prefix))
}
