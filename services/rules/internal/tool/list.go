package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/tool"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/internal/listing"
	"github.com/backlot-video/backlot/services/rules/list"
)

var listVerb = Verb{
	Name: "list", Args: "put NAME FILE | add NAME ENTRY... | remove NAME ENTRY... | has NAME VALUE... | show | delete NAME",
	About: "releases named lists of a running Backlot, changes and asks them",
	Examples: []string{
		"list put bins bins.txt --match prefix --reason 'BINs of November'",
		"list add bins 424242 555555 --reason 'chargebacks'",
		"list remove bins 424242 --reason 'a mistake'",
		"list has bins 4242420000000000",
		"list show",
	},
	Run: runList,
}

// lister is one run of the verb.
type lister struct {
	remote
	match, reason string
	std           *Stdio
}

// errNotInForce and others of its kind are faults of what is released, no
// reason to look at the arguments.
var (
	errNotInForce = errors.New("the release is not in force")
	errNoMatch    = errors.New("not every value is matched")
)

func runList(ctx context.Context, verb *Verb, args []string, std *Stdio) int {
	set := config.New(verb.Name)
	l := &lister{std: std}
	l.Register(set)
	set.String(&l.match, "match", "", "how entries match, `exact, prefix, cidr or auto`; empty: as `# match:` in the file says, else auto")
	set.String(&l.reason, "reason", "", "`why`; kept in the release")
	rest, code, done := verb.parse(set, args, std)
	if done {
		return code
	}
	run, err := l.action(rest)
	if err == nil {
		err = run(ctx)
	}
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errNoMatch):
		return exitFaults
	}
	code = std.fail(verb, tool.Plain(err))
	if errors.Is(err, errNotInForce) || errors.Is(err, list.ErrEntry) || errors.Is(err, list.ErrTooLarge) {
		return exitFaults
	}
	return code
}

// action returns what the arguments ask for.
func (l *lister) action(args []string) (func(context.Context) error, error) {
	name := ""
	if len(args) > 1 {
		name = strings.TrimPrefix(args[1], "@")
	}
	if _, err := list.ParseMatch(l.match); err != nil {
		return nil, fmt.Errorf("--match: %w", err)
	}
	signedIn := func(run func(ctx context.Context) error) (func(context.Context) error, error) {
		return func(ctx context.Context) error {
			if err := l.SignIn(ctx); err != nil {
				return err
			}
			return run(ctx)
		}, nil
	}
	switch {
	case len(args) == 0:
		return nil, errors.New("want put, add, remove, has, show or delete; try --help")
	case args[0] == "put" && len(args) == 3:
		return signedIn(func(ctx context.Context) error { return l.put(ctx, name, args[2]) })
	case args[0] == "add" && len(args) > 2:
		return signedIn(func(ctx context.Context) error { return l.change(ctx, name, args[2:], nil) })
	case args[0] == "remove" && len(args) > 2:
		return signedIn(func(ctx context.Context) error { return l.change(ctx, name, nil, args[2:]) })
	case args[0] == "has" && len(args) > 2:
		return signedIn(func(ctx context.Context) error { return l.has(ctx, name, args[2:]) })
	case args[0] == "show" && len(args) == 1:
		return signedIn(l.show)
	case args[0] == "delete" && len(args) == 2:
		return signedIn(func(ctx context.Context) error { return l.remove(ctx, name) })
	}
	return nil, fmt.Errorf("%s: want put NAME FILE, add NAME ENTRY..., remove NAME ENTRY..., has NAME VALUE..., show or delete NAME", strings.Join(args, " "))
}

// manyChanges are enough to be suspected when a change is refused.
const manyChanges = 1000

// change adds and removes entries of a list as it is.
func (l *lister) change(ctx context.Context, name string, add, remove []string) error {
	const attempts = 5
	for attempt := 1; ; attempt++ {
		got, err := l.config().Get(ctx, &configstorev1.GetRequest{Key: keyOf(name)})
		if err != nil {
			return err
		}
		spec := &rulesv1.RuleList{}
		if err := got.GetObject().GetSpec().UnmarshalTo(spec); err != nil {
			return err
		}
		if err := editList(spec, add, remove); err != nil {
			return err
		}
		err = l.release(ctx, name, spec, got.GetObject().GetRevision())
		if code := connect.CodeOf(err); (code == connect.CodeAborted || code == connect.CodeFailedPrecondition) && attempt < attempts {
			continue // somebody else changed it meanwhile
		}
		if n := len(spec.GetEntries()) + len(spec.GetRemoved()); err != nil && n > manyChanges {
			return fmt.Errorf("%w; %d changes are on top of the list: put it again as a whole", err, n)
		}
		return err
	}
}

// editList changes a list. Entries of a list without parts must be there to be
// removed; of parts it cannot be told from here.
func editList(spec *rulesv1.RuleList, add, remove []string) error {
	match := listing.MatchOf(spec.GetMatch())
	if _, err := list.Make(list.Config{Match: match}, slices.Concat(add, remove)); err != nil {
		return err
	}
	same := func(a string) func(string) bool {
		return func(b string) bool { return canonical(match, a) == canonical(match, b) }
	}
	for _, entry := range remove {
		before := len(spec.GetEntries())
		spec.Entries = slices.DeleteFunc(spec.GetEntries(), same(entry))
		switch {
		case len(spec.GetParts()) > 0:
			if !slices.ContainsFunc(spec.GetRemoved(), same(entry)) {
				spec.Removed = append(spec.Removed, entry)
			}
		case len(spec.GetEntries()) == before:
			return fmt.Errorf("%w: %q is not in the list", list.ErrEntry, entry)
		}
	}
	for _, entry := range add {
		spec.Removed = slices.DeleteFunc(spec.GetRemoved(), same(entry))
		if !slices.ContainsFunc(spec.GetEntries(), same(entry)) {
			spec.Entries = append(spec.Entries, entry)
		}
	}
	return nil
}

// canonical is the one spelling of an IP network of a CIDR list.
func canonical(match list.Match, entry string) string {
	if prefix, err := list.ParsePrefix(entry); match == list.CIDR && err == nil {
		return prefix.String()
	}
	return entry
}

func keyOf(name string) *configstorev1.Key {
	if namespace, rest, ok := strings.Cut(name, "/"); ok {
		return &configstorev1.Key{Kind: "RuleList", Namespace: namespace, Name: rest}
	}
	return &configstorev1.Key{Kind: "RuleList", Name: name}
}

// release writes a list that has a revision, 0 for any, and waits until it is
// in force.
func (l *lister) release(ctx context.Context, name string, spec *rulesv1.RuleList, revision int64) error {
	packed, err := anypb.New(spec)
	if err != nil {
		return err
	}
	applied, err := l.config().Apply(ctx, &configstorev1.ApplyRequest{
		Reason: l.reason,
		Changes: []*configstorev1.Change{{
			Change:           &configstorev1.Change_Put{Put: &configstorev1.Object{Key: keyOf(name), Spec: packed}},
			ExpectedRevision: revision,
		}},
	})
	if err != nil {
		return err
	}
	status, err := l.await(ctx, name, applied.GetObjects()[0].GetReleaseId())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(l.std.Out, "%s %s is in force: %d entries, match %s, loaded in %v\n", name, status.GetVersion(), status.GetEntries(),
		listing.MatchOf(status.GetMatch()), time.Duration(status.GetLoadDuration())*time.Microsecond)
	return err
}

// await waits until a version of a list is in force, or refused.
func (l *lister) await(ctx context.Context, name, version string) (*rulesv1.ListStatus, error) {
	waiting, cancel := context.WithTimeout(ctx, l.Timeout)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		told, err := l.lists().ListLists(ctx, &rulesv1.ListListsRequest{})
		if err != nil {
			return nil, err
		}
		for _, status := range told.GetLists() {
			if status.GetName() != name {
				continue
			}
			if status.GetVersion() == version {
				return status, nil
			}
			if status.GetRejectedVersion() == version {
				return nil, fmt.Errorf("%w: %s", errNotInForce, status.GetRejected())
			}
		}
		select {
		case <-ticker.C:
		case <-waiting.Done():
			return nil, fmt.Errorf("%w after %v (--timeout); %s list show tells more", errNotInForce, l.Timeout, l.std.Program)
		}
	}
}

func (l *lister) remove(ctx context.Context, name string) error {
	_, err := l.config().Apply(ctx, &configstorev1.ApplyRequest{
		Reason:  l.reason,
		Changes: []*configstorev1.Change{{Change: &configstorev1.Change_Delete{Delete: keyOf(name)}}},
	})
	return err
}

func (l *lister) has(ctx context.Context, name string, values []string) error {
	res, err := l.lists().Lookup(ctx, &rulesv1.LookupRequest{Name: name, Values: values})
	if err != nil {
		return err
	}
	for i, matches := range res.GetMatches() {
		word := l.std.paint(green, "yes")
		if !matches {
			word, err = l.std.paint(red, "no"), errNoMatch
		}
		_, _ = fmt.Fprintf(l.std.Out, "%s  %s\n", word, values[i])
	}
	return err
}

func (l *lister) show(ctx context.Context) error {
	told, err := l.lists().ListLists(ctx, &rulesv1.ListListsRequest{})
	if err != nil {
		return err
	}
	return writeLists(l.std.Out, told.GetLists())
}

func writeLists(w io.Writer, lists []*rulesv1.ListStatus) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "NAME\tMATCH\tENTRIES\tMEMORY\tLOADED\tTOOK\tVERSION\tREJECTED")
	for _, s := range lists {
		loaded := "-"
		if s.GetLoadedAt() > 0 {
			loaded = time.UnixMicro(s.GetLoadedAt()).UTC().Format(time.RFC3339)
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%d\t%.1f MB\t%s\t%v\t%s\t%s\n", s.GetName(), listing.MatchOf(s.GetMatch()), s.GetEntries(),
			float64(s.GetBytes())/1e6, loaded, time.Duration(s.GetLoadDuration())*time.Microsecond, s.GetVersion(), s.GetRejected())
	}
	return table.Flush()
}
