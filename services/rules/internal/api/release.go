package api

import (
	"context"
	"fmt"
	"time"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/internal/catalog"
	"github.com/backlot-video/backlot/services/rules/internal/release"
	"github.com/backlot-video/backlot/services/rules/internal/rollout"
)

// Releases implements rulesv1.ReleaseServiceServer.
type Releases struct{ manager *release.Manager }

// NewReleases returns the API of releases.
func NewReleases(m *release.Manager) *Releases { return &Releases{m} }

var _ rulesv1.ReleaseServiceServer = (*Releases)(nil)

// CreateVersion implements rulesv1.ReleaseServiceServer.
func (r *Releases) CreateVersion(ctx context.Context, req *rulesv1.CreateVersionRequest) (*rulesv1.CreateVersionResponse, error) {
	source := req.GetSource()
	if packed := req.GetSourceGzip(); packed != nil {
		var err error
		if source, err = release.Unpack(packed); err != nil {
			return nil, coded(err)
		}
	}
	draft, err := r.manager.CreateVersion(ctx, req.GetRuleset(), req.GetFactType(), source, req.GetReason())
	if err != nil {
		return nil, coded(err)
	}
	checked := checkedToProto(&draft.Checked)
	return &rulesv1.CreateVersionResponse{
		Version: draft.Version, Existed: draft.Existed,
		Diagnostics: checked.GetDiagnostics(), Rules: checked.GetRules(), Tests: checked.GetTests(),
	}, nil
}

// StartRollout implements rulesv1.ReleaseServiceServer.
func (r *Releases) StartRollout(ctx context.Context, req *rulesv1.StartRolloutRequest) (*rulesv1.StartRolloutResponse, error) {
	spec, err := r.manager.StartRollout(ctx, req)
	if err != nil {
		return nil, coded(err)
	}
	return &rulesv1.StartRolloutResponse{Ruleset: spec}, nil
}

// Promote implements rulesv1.ReleaseServiceServer.
func (r *Releases) Promote(ctx context.Context, req *rulesv1.PromoteRequest) (*rulesv1.PromoteResponse, error) {
	spec, err := r.manager.Promote(ctx, req.GetRuleset(), req.GetStep(), req.GetReason())
	if err != nil {
		return nil, coded(err)
	}
	return &rulesv1.PromoteResponse{Ruleset: spec}, nil
}

// Rollback implements rulesv1.ReleaseServiceServer.
func (r *Releases) Rollback(ctx context.Context, req *rulesv1.RollbackRequest) (*rulesv1.RollbackResponse, error) {
	spec, err := r.manager.Rollback(ctx, req.GetRuleset(), req.GetToVersion(), req.GetReason())
	if err != nil {
		return nil, coded(err)
	}
	return &rulesv1.RollbackResponse{Ruleset: spec}, nil
}

// GetRuleset implements rulesv1.ReleaseServiceServer.
func (r *Releases) GetRuleset(_ context.Context, req *rulesv1.GetRulesetRequest) (*rulesv1.GetRulesetResponse, error) {
	name := req.GetRuleset()
	res := &rulesv1.GetRulesetResponse{}
	for _, status := range r.manager.Catalog.Status() {
		if status.Name == name {
			res.Status = statusToProto(status)
		}
	}
	spec := r.manager.Follower.Rulesets()[name]
	if spec == nil && res.GetStatus() == nil {
		return nil, coded(fmt.Errorf("%w %q", release.ErrUnknownRuleset, name))
	}
	res.Ruleset = spec
	if seen, found := r.manager.Catalog.Rollout(name); found {
		res.Report = reportToProto(&seen)
	}
	if req.GetSources() && spec != nil {
		namespace, _ := release.SplitName(name)
		res.LiveSource = spec.GetSource()
		if live := spec.GetLiveVersion(); live != "" {
			res.LiveSource = r.manager.Follower.Source(release.JoinName(namespace, live))
		}
		if candidate := spec.GetRollout().GetVersion(); candidate != "" {
			res.CandidateSource = r.manager.Follower.Source(release.JoinName(namespace, candidate))
		}
	}
	return res, nil
}

// ListVersions implements rulesv1.ReleaseServiceServer.
func (r *Releases) ListVersions(_ context.Context, req *rulesv1.ListVersionsRequest) (*rulesv1.ListVersionsResponse, error) {
	res := &rulesv1.ListVersionsResponse{}
	spec := r.manager.Follower.Rulesets()[req.GetRuleset()]
	for _, v := range r.manager.Follower.Versions(req.GetRuleset()) {
		info := &rulesv1.VersionInfo{
			Version: v.Name, FactType: v.Spec.GetFactType(), SourceBytes: v.Spec.GetSourceBytes(),
			Author: v.Spec.GetAuthor(), Reason: v.Spec.GetReason(), CreatedAt: v.Spec.GetCreatedAt(),
		}
		switch _, short := release.SplitName(v.Name); {
		case short == spec.GetLiveVersion():
			info.Stage = rulesv1.Stage_STAGE_FULL
		case short == spec.GetRollout().GetVersion() && spec.GetRollout().GetState() == rulesv1.Rollout_STATE_RUNNING:
			info.Stage = spec.GetRollout().GetStep().GetStage()
		}
		res.Versions = append(res.Versions, info)
	}
	return res, nil
}

var stages = map[rollout.Stage]rulesv1.Stage{
	rollout.Shadow: rulesv1.Stage_STAGE_SHADOW, rollout.Canary: rulesv1.Stage_STAGE_CANARY, rollout.Full: rulesv1.Stage_STAGE_FULL,
}

func reportToProto(seen *catalog.Rollout) *rulesv1.RolloutReport {
	report := &seen.Report
	out := &rulesv1.RolloutReport{
		Version: seen.Version, Stage: stages[seen.Plan.Stage], Problem: seen.Problem, Skipped: report.Skipped,
		Candidate: tallyToProto(report.Candidate), Live: tallyToProto(report.Live),
		CandidateWindow: tallyToProto(report.CandidateWindow), LiveWindow: tallyToProto(report.LiveWindow),
	}
	if seen.Left != "" {
		out.Problem = "band left: " + seen.Left
	}
	for live, row := range report.Changes {
		for candidate, facts := range row {
			if facts > 0 {
				out.Changes = append(out.Changes, &rulesv1.VerdictChange{
					Live: actions[rules.Action(live)], Candidate: actions[rules.Action(candidate)], Facts: facts,
				})
			}
		}
	}
	return out
}

func tallyToProto(t rollout.Tally) *rulesv1.Tally {
	return &rulesv1.Tally{
		Facts: t.Facts, Errors: t.Errors, Denied: t.Denied, Answered: t.Answered,
		P99Micros: float64(t.P99) / float64(time.Microsecond),
	}
}
