package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/tool"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// draftActs are what can be done with one draft.
var draftActs = []string{"show", "approve", "reject", "release", "drop"}

func draftVerb() tool.Verb {
	return tool.Verb{
		Name: "draft", Args: "[show|approve|reject|release|drop ID]", About: "lists drafts, shows, reviews, releases or drops one",
		More: "`apply --draft` makes drafts. Nobody reviews a draft of their own; --configstore.approvals says how many have to approve\n" +
			"one before it can be released.",
		Examples: []string{"draft", "draft show ID", "draft approve ID --comment 'fine with me'", "draft release ID"},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			s, comment := &store{}, ""
			s.register(set, std)
			set.String(&comment, "comment", "", "`text` of the review")
			check := func(args []string) error {
				if len(args) == 0 || len(args) == 2 && slices.Contains(draftActs, args[0]) {
					return nil
				}
				return errors.New("want nothing, or one of " + strings.Join(draftActs, ", ") + " and an ID; try --help")
			}
			return s.known(check, func(ctx context.Context, args []string) error {
				if len(args) == 0 {
					return s.listDrafts(ctx)
				}
				return s.draftAct(ctx, args[0], args[1], comment)
			})
		},
	}
}

func (s *store) listDrafts(ctx context.Context) error {
	response, err := s.drafts().ListDrafts(ctx, &configstorev1.ListDraftsRequest{})
	if err != nil {
		return err
	}
	if s.json {
		return tool.WriteJSON(s.std.Out, response)
	}
	rows := [][]string{{"DRAFT", "WHEN", "WHO", "REVIEWS", "WHY"}}
	for _, draft := range response.GetDrafts() {
		rows = append(rows, []string{
			draft.GetId(), moment(draft.GetCreatedAt()), draft.GetAuthor(), strings.Join(reviews(draft), ", "), draft.GetReason(),
		})
	}
	return tool.WriteTable(s.std.Out, rows)
}

func reviews(draft *configstorev1.Draft) []string {
	var all []string
	for _, review := range draft.GetReviews() {
		verdict := "approved by "
		if !review.GetApproved() {
			verdict = "rejected by "
		}
		all = append(all, verdict+review.GetAuthor())
	}
	return all
}

func (s *store) draftAct(ctx context.Context, act, id, comment string) error {
	switch act {
	case "show":
		return s.showDraft(ctx, id)
	case "approve", "reject":
		response, err := s.drafts().ReviewDraft(ctx, &configstorev1.ReviewDraftRequest{Id: id, Approve: act == "approve", Comment: comment})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(s.std.Out, strings.Join(reviews(response.GetDraft()), "\n"))
		return err
	case "drop":
		_, err := s.drafts().DropDraft(ctx, &configstorev1.DropDraftRequest{Id: id})
		return err
	default:
		response, err := s.drafts().ReleaseDraft(ctx, &configstorev1.ReleaseDraftRequest{Id: id})
		if err != nil {
			return err
		}
		return released(s.std, response.GetRelease())
	}
}

// showDraft shows what a draft would change now.
func (s *store) showDraft(ctx context.Context, id string) error {
	response, err := s.drafts().GetDraft(ctx, &configstorev1.GetDraftRequest{Id: id})
	if err != nil {
		return err
	}
	draft := response.GetDraft()
	if s.json {
		return tool.WriteJSON(s.std.Out, draft)
	}
	_, err = fmt.Fprintf(s.std.Out, "draft %s by %s, %s\n%s\n", draft.GetId(), draft.GetAuthor(), moment(draft.GetCreatedAt()), tool.Printable(draft.GetReason()))
	if err != nil {
		return err
	}
	for _, review := range draft.GetReviews() {
		verdict := "approved"
		if !review.GetApproved() {
			verdict = "rejected"
		}
		if _, err := fmt.Fprintf(s.std.Out, "%s by %s: %s\n", verdict, review.GetAuthor(), tool.Printable(review.GetComment())); err != nil {
			return err
		}
	}
	for _, change := range draft.GetChanges() {
		key, after := change.GetDelete(), change.GetPut()
		if after != nil {
			key = after.GetKey()
		}
		before, err := s.now(ctx, key)
		if err != nil {
			return err
		}
		if before == nil && after == nil {
			continue
		}
		text, err := s.kinds.Diff(before, after)
		if err != nil {
			return err
		}
		if before.GetRevision() != max(change.GetExpectedRevision(), 0) {
			text = "# changed since the draft was made: it cannot be released as it is\n" + text
		}
		if _, err := io.WriteString(s.std.Out, text); err != nil {
			return err
		}
	}
	return nil
}
