package tool

import (
	"context"
	"fmt"
	"io"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
)

// neverReleased tells of a ruleset that no release was ever begun for.
func neverReleased(spec *rulesv1.Ruleset) bool {
	return spec.GetLiveVersion() == "" && spec.GetRollout() == nil && len(spec.GetLog()) == 0
}

// unreleased says what judges instead of a version, and how to change that.
func (r *releaser) unreleased(to io.Writer, got *rulesv1.GetRulesetResponse) error {
	held, next := "the source in its Ruleset object", r.wayOut()
	if got.GetRuleset() == nil {
		held = "a file of the folder rules.dir"
		next = "To change it, change the file; releases are for a Backlot that runs without rules.dir."
	}
	state := "is not in force"
	if version := got.GetStatus().GetVersion(); version != "" {
		state = "is in force, as version " + version
	}
	_, err := fmt.Fprintf(to, "%s was never released: %s %s.\n%s\n", r.ruleset, held, state, next)
	return err
}

// absent tells of a ruleset that does not exist, with its drafts.
func (r *releaser) absent(ctx context.Context) error {
	listed, err := r.releases().ListVersions(ctx, &rulesv1.ListVersionsRequest{Ruleset: r.ruleset})
	if err != nil {
		return err
	}
	drafts := "there is no draft of it either"
	for i, version := range listed.GetVersions() {
		if i == 0 {
			drafts = "these drafts judge nothing"
		}
		drafts += "\n  " + version.GetVersion()
	}
	return fmt.Errorf("%s was never released; %s\n%s", r.ruleset, drafts, r.wayOut())
}

func (r *releaser) wayOut() string {
	return fmt.Sprintf("To bring a version into force: %s release %s.rules --stage full --reason WHY", r.std.Program, r.ruleset)
}
