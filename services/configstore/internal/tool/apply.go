package tool

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/google/uuid"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/tool"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/manifest"
)

// setLabel marks the objects that come from one place.
const setLabel = "backlot.video/set"

// files is what apply and diff have in common.
type files struct {
	store
	set string
}

func (f *files) registerFiles(set *config.Set, std *tool.Stdio) {
	f.registerObjects(set, std)
	set.String(&f.set, "set", "", "`name` of all that these files are to hold: objects of the set that are in none of them any more are deleted")
}

// plan is what would become of the store.
type plan struct {
	changes                 []*configstorev1.Change
	diffs                   []string
	added, changed, deleted int
	titles                  []string
}

// plan compares files with the store.
func (f *files) plan(ctx context.Context, paths []string) (*plan, error) {
	objects, err := f.read(paths)
	if err != nil {
		return nil, err
	}
	p := new(plan)
	kept := map[string]bool{}
	for _, o := range objects {
		if o.GetKey().GetNamespace() == "" {
			o.Key.Namespace = f.namespace
		}
		if f.set != "" {
			if o.Labels == nil {
				o.Labels = map[string]string{}
			}
			o.Labels[setLabel] = f.set
		}
		kept[manifest.Title(o.GetKey())] = true
		now, err := f.now(ctx, o.GetKey())
		if err != nil {
			return nil, err
		}
		expected := now.GetRevision()
		if now == nil {
			expected = -1
		}
		err = p.add(f.kinds, now, o, &configstorev1.Change{Change: &configstorev1.Change_Put{Put: o}, ExpectedRevision: expected})
		if err != nil {
			return nil, err
		}
	}
	if f.set == "" {
		return p, nil
	}
	return p, f.prune(ctx, p, kept)
}

func (f *files) prune(ctx context.Context, p *plan, kept map[string]bool) error {
	present, err := (&store{remote: f.remote, kinds: f.kinds}).get(ctx, nil, 0)
	if err != nil {
		return err
	}
	for _, o := range present {
		if o.GetLabels()[setLabel] != f.set || kept[manifest.Title(o.GetKey())] {
			continue
		}
		change := &configstorev1.Change{Change: &configstorev1.Change_Delete{Delete: o.GetKey()}, ExpectedRevision: o.GetRevision()}
		if err := p.add(f.kinds, o, nil, change); err != nil {
			return err
		}
	}
	return nil
}

// add adds a change, unless nothing differs.
func (p *plan) add(kinds *manifest.Kinds, before, after *configstorev1.Object, change *configstorev1.Change) error {
	diff, err := kinds.Diff(before, after)
	if err != nil || diff == "" {
		return err
	}
	switch {
	case before == nil:
		p.added++
		p.titles = append(p.titles, "added    "+manifest.Title(after.GetKey()))
	case after == nil:
		p.deleted++
		p.titles = append(p.titles, "deleted  "+manifest.Title(before.GetKey()))
	default:
		p.changed++
		p.titles = append(p.titles, "changed  "+manifest.Title(after.GetKey()))
	}
	p.changes, p.diffs = append(p.changes, change), append(p.diffs, diff)
	return nil
}

func (p *plan) show(w io.Writer) error {
	for _, title := range p.titles {
		if _, err := fmt.Fprintln(w, tool.Printable(title)); err != nil {
			return err
		}
	}
	return nil
}

var wantFiles = func(args []string) error {
	if len(args) == 0 {
		return errors.New("want files, folders, or - for the standard input; try --help")
	}
	return nil
}

func diffVerb() tool.Verb {
	return tool.Verb{
		Name: "diff", Args: "FILE...", About: "shows what apply would change",
		More:     "Exit code 1 where something differs.",
		Examples: []string{"diff config/", "diff --set shop config/"},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			f := &files{}
			f.registerFiles(set, std)
			return f.known(wantFiles, func(ctx context.Context, paths []string) error {
				p, err := f.plan(ctx, paths)
				if err != nil {
					return err
				}
				for _, diff := range p.diffs {
					if _, err := io.WriteString(std.Out, diff); err != nil {
						return err
					}
				}
				if len(p.diffs) > 0 {
					return tool.ErrFaults
				}
				return nil
			})
		},
	}
}

func applyVerb() tool.Verb {
	return tool.Verb{
		Name: "apply", Args: "FILE...", About: "makes the store hold what files say, all of it or nothing",
		More: "Files hold YAML documents or JSON; of folders all .yaml, .yml and .json are read. What changed in the store meanwhile is a\n" +
			"conflict and nothing is written. With --draft others review it first: see `draft`. With --canary some instances get it\n" +
			"first: see `canary`.",
		Examples: []string{
			"apply config/ --reason 'summer sale'", "apply --dry-run route.yaml", "apply --set shop config/", "apply --draft --reason 'new shop' shop.yaml",
			"apply --canary 5%,25% --hold 10m --max-bad 1% list.yaml",
		},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			f, reason, dry, draft, canary := &files{}, "", false, false, &canaryFlags{}
			f.registerFiles(set, std)
			canary.register(set, "canary")
			set.String(&reason, "reason", "", "`why`; it is kept in the history")
			set.Bool(&dry, "dry-run", false, "check, and write nothing")
			set.Bool(&draft, "draft", false, "make a draft of it, which others review")
			check := func(args []string) error {
				if draft && reason == "" {
					return errors.New("--draft needs --reason")
				}
				if canary.steps == "" {
					return wantFiles(args)
				}
				if draft || dry {
					return errors.New("--canary is neither for --draft nor for --dry-run; `canary start --draft` is for drafts")
				}
				if _, err := canary.plan(); err != nil {
					return err
				}
				return wantFiles(args)
			}
			return f.known(check, func(ctx context.Context, paths []string) error {
				if canary.steps != "" {
					canary.why = reason
					return f.startCanary(ctx, paths, canary)
				}
				p, err := f.plan(ctx, paths)
				if err != nil {
					return err
				}
				if len(p.changes) == 0 {
					_, err := fmt.Fprintln(std.Out, "nothing differs")
					return err
				}
				if draft {
					return f.makeDraft(ctx, p, reason)
				}
				return f.apply(ctx, p, reason, dry)
			})
		},
	}
}

func (s *store) apply(ctx context.Context, p *plan, reason string, dry bool) error {
	response, err := s.config().Apply(ctx, &configstorev1.ApplyRequest{
		Changes: p.changes, Reason: reason, DryRun: dry, RequestId: uuid.NewString(),
	})
	if err != nil {
		return err
	}
	if err := p.show(s.std.Out); err != nil {
		return err
	}
	if dry {
		_, err = fmt.Fprintf(s.std.Out, "all is well with %s; nothing was written\n", many(len(p.changes), "change"))
		return err
	}
	return released(s.std, response.GetRelease())
}

func (s *store) makeDraft(ctx context.Context, p *plan, reason string) error {
	response, err := s.drafts().CreateDraft(ctx, &configstorev1.CreateDraftRequest{Changes: p.changes, Reason: reason})
	if err != nil {
		return err
	}
	if err := p.show(s.std.Out); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.std.Out, "draft %s\n", response.GetDraft().GetId())
	return err
}

// released tells of a release.
func released(std *tool.Stdio, release *configstorev1.Release) error {
	if release.GetId() == "" {
		_, err := fmt.Fprintln(std.Out, "nothing differs")
		return err
	}
	_, err := fmt.Fprintf(std.Out, "release %s, revision %d, %s\n",
		release.GetId(), release.GetRevision(), many(len(release.GetKeys()), "object"))
	return err
}
