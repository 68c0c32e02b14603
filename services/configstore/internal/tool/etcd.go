package tool

import (
	"errors"
	"strings"

	"go.etcd.io/etcd/server/v3/etcdmain"

	"github.com/backlot-video/backlot/kit/tool"
)

var errNoFlag = errors.New("arguments are etcd's flags, as --data-dir DIR; its gateway and grpc-proxy are not here")

// etcdVerb is etcd itself, as it is embedded here. Suites that are made for
// etcd's binary drive the engine by it.
func etcdVerb() tool.Verb {
	return tool.Verb{
		Name: "etcd", About: "runs the embedded etcd alone, by etcd's own flags",
		Raw: func(args []string, _ *tool.Stdio) error {
			if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
				return errNoFlag
			}
			etcdmain.Main(append([]string{"etcd"}, args...)) // ends the process
			return nil
		},
	}
}
