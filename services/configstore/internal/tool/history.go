package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/tool"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/manifest"
)

func historyVerb() tool.Verb {
	return tool.Verb{
		Name: "history", Args: "[KIND NAME]", About: "shows releases, or what one object was",
		More:     "What objects were is kept as far back as revisions are (--configstore.history-revisions); who released what and why, longer.",
		Examples: []string{"history", "history --limit 100", "history route api-rules --diff", "history route api-rules --from 640 --to 812"},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			s, limit, diff, from, to := &store{}, 0, false, 0, 0
			s.registerObjects(set, std)
			set.Int(&limit, "limit", 20, "how `many` to show, at most 200")
			set.Bool(&diff, "diff", false, "show what each release changed of the object")
			set.Int(&from, "from", 0, "show instead what is different of the object since this `revision`")
			set.Int(&to, "to", 0, "up to this `revision`; 0: now")
			check := func(args []string) error {
				if from < 0 || to < 0 || from == 0 && to > 0 || from > 0 && (len(args) != 2 || diff) {
					return errors.New("--from, and --to with it, are revisions of one object, KIND and NAME, without --diff; try --help")
				}
				if len(args) != 0 && len(args) != 2 || limit < 1 || limit > 200 {
					return errors.New("want KIND and NAME, or neither; --limit from 1 to 200; try --help")
				}
				return nil
			}
			return s.known(check, func(ctx context.Context, args []string) error {
				if len(args) == 0 {
					return s.releases(ctx, int32(limit)) //nolint:gosec // at most 200
				}
				if from > 0 {
					return s.between(ctx, s.key(args[0], args[1]), int64(from), int64(to))
				}
				return s.versions(ctx, s.key(args[0], args[1]), int32(limit), diff) //nolint:gosec // at most 200
			})
		},
	}
}

func (s *store) releases(ctx context.Context, limit int32) error {
	response, err := s.config().ListReleases(ctx, &configstorev1.ListReleasesRequest{PageSize: limit})
	if err != nil {
		return err
	}
	if s.json {
		return tool.WriteJSON(s.std.Out, response)
	}
	rows := [][]string{{"RELEASE", "REVISION", "WHEN", "WHO", "OBJECTS", "WHY"}}
	for _, release := range response.GetReleases() {
		objects := manifest.Title(release.GetKeys()[0])
		if more := len(release.GetKeys()) - 1; more > 0 {
			objects += fmt.Sprintf(" and %d more", more)
		}
		rows = append(rows, []string{
			release.GetId(), strconv.FormatInt(release.GetRevision(), 10), moment(release.GetCreatedAt()), release.GetAuthor(), objects, release.GetReason(),
		})
	}
	return tool.WriteTable(s.std.Out, rows)
}

func (s *store) versions(ctx context.Context, key *configstorev1.Key, limit int32, diff bool) error {
	response, err := s.config().GetHistory(ctx, &configstorev1.GetHistoryRequest{Key: key, Limit: limit})
	if err != nil {
		return err
	}
	if s.json {
		return tool.WriteJSON(s.std.Out, response)
	}
	versions := response.GetVersions()
	rows := [][]string{{"REVISION", "WHEN", "WHO", "RELEASE", "", "WHY"}}
	for i, version := range versions {
		release, what := version.GetRelease(), "changed"
		switch {
		case version.GetObject() == nil:
			what = "deleted"
		case i == len(versions)-1 && !response.GetTruncated(), i < len(versions)-1 && versions[i+1].GetObject() == nil:
			what = "added"
		}
		row := []string{
			strconv.FormatInt(version.GetRevision(), 10), moment(release.GetCreatedAt()), release.GetAuthor(), release.GetId(), what, release.GetReason(),
		}
		if !diff {
			rows = append(rows, row)
			continue
		}
		if err := s.writeVersion(row, versions, i, response.GetTruncated()); err != nil {
			return err
		}
	}
	if !diff {
		err = tool.WriteTable(s.std.Out, rows)
	}
	if err == nil && response.GetTruncated() {
		_, err = fmt.Fprintln(s.std.Out, "older ones are not shown; --limit, or they are no longer kept")
	}
	return err
}

// between shows how an object at one revision differs from what it was at
// another; 0: now.
func (s *store) between(ctx context.Context, key *configstorev1.Key, from, to int64) error {
	var found [2]*configstorev1.Object
	for n, revision := range []int64{from, to} {
		response, err := s.config().Get(ctx, &configstorev1.GetRequest{Key: key, Revision: revision})
		if err != nil && connect.CodeOf(err) != connect.CodeNotFound {
			return err
		}
		found[n] = response.GetObject()
	}
	if found[0] == nil && found[1] == nil {
		return fmt.Errorf("%s is there at neither revision", manifest.Title(key))
	}
	until := "now"
	if to > 0 {
		until = "revision " + strconv.FormatInt(to, 10)
	}
	text, err := s.kinds.DiffAs(found[0], found[1], "revision "+strconv.FormatInt(from, 10), until)
	if err != nil {
		return err
	}
	_, err = io.WriteString(s.std.Out, text)
	return err
}

// writeVersion shows what a release changed of an object.
func (s *store) writeVersion(row []string, versions []*configstorev1.Version, i int, truncated bool) error {
	if err := tool.WriteTable(s.std.Out, [][]string{row}); err != nil {
		return err
	}
	var before *configstorev1.Object
	if i+1 < len(versions) {
		before = versions[i+1].GetObject()
	} else if truncated {
		return nil
	}
	if before == nil && versions[i].GetObject() == nil {
		return nil
	}
	text, err := s.kinds.Diff(before, versions[i].GetObject())
	if err == nil {
		_, err = io.WriteString(s.std.Out, text)
	}
	return err
}

func rollbackVerb() tool.Verb {
	return tool.Verb{
		Name: "rollback", Args: "RELEASE | KIND NAME", About: "takes a release back, or brings one object back to what it was",
		More: "It makes a new release, which is checked like any other and can be taken back itself. Objects that later releases changed\n" +
			"again are left, and nothing is done, unless --over-later says so.",
		Examples: []string{
			"rollback 0192e4c2-7d5f-7c9a-9c39-6a4b1f6f0a11 --reason 'checkout fails'", "rollback route api-rules --revision 812",
		},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			s, request, revision := &store{}, &configstorev1.RollbackRequest{}, 0
			s.registerObjects(set, std)
			set.Int(&revision, "revision", 0, "`revision` at which the object was as it is to be")
			set.String(&request.Reason, "reason", "", "`why`; it is kept in the history")
			set.Bool(&request.OverLater, "over-later", false, "take back what later releases changed of the same objects too")
			set.Bool(&request.DryRun, "dry-run", false, "check, and write nothing")
			check := func(args []string) error {
				if len(args) == 1 && revision == 0 || len(args) == 2 && revision > 0 {
					return nil
				}
				return errors.New("want a RELEASE, or KIND and NAME with --revision; try --help")
			}
			return s.known(check, func(ctx context.Context, args []string) error {
				if len(args) == 1 {
					request.What = &configstorev1.RollbackRequest_ReleaseId{ReleaseId: args[0]}
				} else {
					request.What = &configstorev1.RollbackRequest_Object{Object: &configstorev1.RollbackRequest_ObjectAt{
						Key: s.key(args[0], args[1]), Revision: int64(revision),
					}}
				}
				response, err := s.config().Rollback(ctx, request)
				if err != nil {
					return err
				}
				if request.GetDryRun() {
					_, err = fmt.Fprintf(std.Out, "%s would change back; nothing was written\n", many(len(response.GetRelease().GetKeys()), "object"))
					return err
				}
				return released(std, response.GetRelease())
			})
		},
	}
}
