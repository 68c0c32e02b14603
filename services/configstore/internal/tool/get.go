package tool

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/tool"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

func (s *store) registerObjects(set *config.Set, std *tool.Stdio) {
	s.register(set, std)
	set.String(&s.namespace, "namespace", "", "`namespace` of the objects; empty: default, or with lists all")
}

func kindsVerb() tool.Verb {
	return tool.Verb{
		Name: "kinds", About: "lists the kinds that objects can be of",
		Examples: []string{"kinds"},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			s := &store{}
			s.register(set, std)
			return s.Online(tool.Want(0, "no arguments"), func(ctx context.Context, _ []string) error {
				response, err := s.config().ListKinds(ctx, &configstorev1.ListKindsRequest{})
				if err != nil {
					return err
				}
				rows := [][]string{{"KIND", "MESSAGE"}}
				for _, kind := range response.GetKinds() {
					rows = append(rows, []string{kind.GetName(), kind.GetMessage()})
				}
				return tool.WriteTable(std.Out, rows)
			})
		},
	}
}

func getVerb() tool.Verb {
	return tool.Verb{
		Name: "get", Args: "[KIND [NAME]]", About: "shows objects; without a KIND it exports all, but for instances",
		More: "Objects are written as YAML documents, which apply reads. The material of secrets is left out: who brings a secret from\n" +
			"an export has to add it.",
		Examples: []string{"get route", "get route api-rules", "get --table cluster", "get route api-rules --revision 812", "get > backup.yaml"},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			s, table, revision := &store{}, false, 0
			s.registerObjects(set, std)
			set.Bool(&table, "table", false, "list names and revisions instead")
			set.Int(&revision, "revision", 0, "the one object as it was at this `revision`; 0: now")
			check := func(args []string) error {
				if len(args) > 2 || revision != 0 && len(args) != 2 || revision < 0 {
					return errors.New("want KIND, NAME, or neither; --revision needs both; try --help")
				}
				return nil
			}
			return s.known(check, func(ctx context.Context, args []string) error {
				objects, err := s.get(ctx, args, int64(revision))
				if err != nil {
					return err
				}
				if table {
					return writeObjects(std, objects)
				}
				return s.kinds.Write(std.Out, objects)
			})
		},
	}
}

// instances come and go by themselves.
const instances = "Instance"

func (s *store) get(ctx context.Context, args []string, revision int64) ([]*configstorev1.Object, error) {
	if len(args) == 2 {
		response, err := s.config().Get(ctx, &configstorev1.GetRequest{Key: s.key(args[0], args[1]), Revision: revision})
		if err != nil {
			return nil, err
		}
		return []*configstorev1.Object{response.GetObject()}, nil
	}
	var all []*configstorev1.Object
	for _, kind := range s.kinds.Names() {
		if len(args) == 1 && kind != s.kindName(args[0]) || len(args) == 0 && kind == instances {
			continue
		}
		response, err := s.config().List(ctx, &configstorev1.ListRequest{Kind: kind, Namespace: s.namespace})
		if err != nil {
			return nil, err
		}
		all = append(all, response.GetObjects()...)
	}
	if len(args) == 1 && len(all) == 0 {
		if _, err := s.config().List(ctx, &configstorev1.ListRequest{Kind: s.kindName(args[0])}); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func writeObjects(std *tool.Stdio, objects []*configstorev1.Object) error {
	rows := [][]string{{"KIND", "NAMESPACE", "NAME", "REVISION", "CHANGED", "RELEASE"}}
	for _, o := range objects {
		release := o.GetReleaseId()
		if o.GetUnreadable() {
			release += " (unreadable)"
		}
		rows = append(rows, []string{
			o.GetKey().GetKind(), o.GetKey().GetNamespace(), o.GetKey().GetName(),
			strconv.FormatInt(o.GetRevision(), 10), moment(o.GetUpdatedAt()), release,
		})
	}
	return tool.WriteTable(std.Out, rows)
}

// moment is a time in microseconds as people read it.
func moment(micros int64) string {
	if micros == 0 {
		return ""
	}
	return time.UnixMicro(micros).UTC().Format(time.DateTime)
}

// many is a number of things.
func many(n int, thing string) string {
	if n == 1 {
		return fmt.Sprintf("%d %s", n, thing)
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
