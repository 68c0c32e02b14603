package tool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/tool"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
)

// slower tells that profile a waits longer than b, which may be of no name.
func slower(a, b string) bool {
	names := engine.ProfileNames()
	return b != "" && slices.Index(names, a) > slices.Index(names, b)
}

func memberVerb() tool.Verb {
	return tool.Verb{
		Name: "member", Args: "add NAME URL | remove ID|NAME", About: "adds or removes a member",
		More: "A member that was added is told of it by the settings that are printed. It learns everything first and votes once it has\n" +
			"caught up. To replace a dead member, remove it and then add another. A removed member's data folder is of no more use.",
		Examples: []string{"member add b https://10.0.0.2:8102", "member remove c"},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			r := &remote{}
			r.register(set, std)
			check := func(args []string) error {
				if len(args) == 3 && args[0] == "add" || len(args) == 2 && args[0] == "remove" {
					return nil
				}
				return errors.New("want add NAME URL, or remove ID|NAME; try --help")
			}
			return r.Online(check, func(ctx context.Context, args []string) error {
				if args[0] == "remove" {
					return r.remove(ctx, args[1])
				}
				return r.add(ctx, args[1], args[2])
			})
		},
	}
}

func (r *remote) add(ctx context.Context, name, url string) error {
	added, err := r.cluster(0).AddMember(ctx, &configstorev1.AddMemberRequest{Name: name, PeerUrl: url})
	if err != nil {
		return err
	}
	if r.json {
		return tool.WriteJSON(r.std.Out, added)
	}
	_, err = fmt.Fprintf(r.std.Out, "member %s may join as %s; start it with an empty data folder and, beside what all have:\n\n"+
		"  --configstore.member %s --configstore.join --configstore.peer-url %s \\\n  --configstore.peer-listen HOST:PORT --configstore.members %s\n",
		name, added.GetMemberId(), name, url, strings.Join(added.GetMembers(), ","))
	return err
}

func (r *remote) remove(ctx context.Context, idOrName string) error {
	id, err := r.find(ctx, idOrName)
	if err != nil {
		return err
	}
	if _, err := r.cluster(0).RemoveMember(ctx, &configstorev1.RemoveMemberRequest{MemberId: id}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(r.std.Out, "member %s is removed\n", id)
	return err
}

// find gives the id of a member by its id or name.
func (r *remote) find(ctx context.Context, idOrName string) (string, error) {
	status, err := r.cluster(0).GetStatus(ctx, &configstorev1.GetStatusRequest{})
	if err != nil {
		return "", err
	}
	var known []string
	for _, m := range status.GetMembers() {
		if m.GetId() == idOrName || m.GetName() == idOrName {
			return m.GetId(), nil
		}
		known = append(known, nameOf(m)+" as "+m.GetId())
	}
	return "", fmt.Errorf("member %q is not known; there are %s", tool.Printable(idOrName), strings.Join(known, ", "))
}

// nameOf is a member's name, or what it is without one.
func nameOf(m *configstorev1.Member) string {
	if m.GetName() == "" {
		return "(not started)"
	}
	return m.GetName()
}

func leadVerb() tool.Verb {
	return tool.Verb{
		Name: "lead", Args: "ID|NAME", About: "has another member lead, as before the leader's machine is serviced",
		More:     "Only the leader can hand over: if another member answers, ask the leader's gateway.",
		Examples: []string{"lead b"},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			r := &remote{}
			r.register(set, std)
			return r.Online(tool.Want(1, "one ID or NAME"), func(ctx context.Context, args []string) error {
				id, err := r.find(ctx, args[0])
				if err != nil {
					return err
				}
				if _, err := r.cluster(0).MoveLeader(ctx, &configstorev1.MoveLeaderRequest{MemberId: id}); err != nil {
					return err
				}
				_, err = fmt.Fprintf(std.Out, "member %s leads\n", args[0])
				return err
			})
		},
	}
}
