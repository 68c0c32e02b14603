package canary

import (
	"fmt"
	"time"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// DefaultPatience is how much longer than it is to hold a step may last.
const DefaultPatience = 24 * time.Hour

// verdict is what is to become of a canary now.
type verdict struct {
	back bool   // it is taken back
	on   bool   // it goes on: to the next step, or to the release
	why  string // it is taken back; or what it waits for
}

// judge decides by the evidence. missing is a chosen instance that was heard of
// and is not any more.
func judge(c *configstorev1.Canary, e *configstorev1.CanaryEvidence, missing string, now time.Time) verdict {
	plan := c.GetPlan()
	if e.GetRejected() > int32(min(plan.GetRejections(), 1<<30)) { //nolint:gosec // bounded
		first := e.GetRejecting()[0]
		return verdict{back: true, why: fmt.Sprintf("%d of %d rejected: %s (%s)",
			e.GetRejected(), e.GetChosen(), first.GetRejected()[0].GetReason(), first.GetSubscriber().GetId())}
	}
	waits := ""
	for n, band := range plan.GetBands() {
		broken, few := outside(band, e.GetMeasures()[n])
		if broken != "" {
			return verdict{back: true, why: broken}
		}
		if few != "" && e.GetChosen() > 0 {
			waits = few
		}
	}
	step := plan.GetSteps()[c.GetStep()]
	held := now.Sub(time.UnixMicro(c.GetStepAt())) - step.GetHold().AsDuration()
	switch {
	case len(e.GetSilentMembers()) > 0:
		waits = fmt.Sprintf("member %s, which does not answer", e.GetSilentMembers()[0])
	case e.GetAccepted()+e.GetRejected() < e.GetChosen():
		waits = fmt.Sprintf("%d of %d that have not got it yet", e.GetChosen()-e.GetAccepted()-e.GetRejected(), e.GetChosen())
	case missing != "":
		waits = fmt.Sprintf("%s, which is not heard of any more", missing)
	}
	patience := plan.GetPatience().AsDuration()
	if patience <= 0 {
		patience = DefaultPatience
	}
	switch {
	case waits != "" && held >= patience:
		return verdict{back: true, why: fmt.Sprintf("step %d lasted %v longer than it was to hold; it waited for %s", c.GetStep()+1, held.Round(time.Second), waits)}
	case held < 0 && waits == "":
		return verdict{why: fmt.Sprintf("the step to hold for another %v", (-held).Round(time.Second))}
	case held < 0 || waits != "":
		return verdict{why: waits}
	}
	return verdict{on: true}
}

// outside says by what a band is broken, or what is missing to say so.
func outside(band *configstorev1.Band, m *configstorev1.CanaryEvidence_Measure) (broken, few string) {
	total, others := m.GetGood()+m.GetBad(), m.GetOthersGood()+m.GetOthersBad()
	if total < max(band.GetSamples(), 1) {
		if band.GetSamples() > 0 {
			few = fmt.Sprintf("samples of %s: %d of %d", band.GetHealth(), total, band.GetSamples())
		}
		return "", few
	}
	share := float64(m.GetBad()) / float64(total)
	if most := float64(band.GetBadPpm()) / whole; band.GetBadPpm() > 0 && share > most {
		return fmt.Sprintf("%s: %d of %d are bad, %.3f %%, more than %.3f %%", band.GetHealth(), m.GetBad(), total, 100*share, 100*most), ""
	}
	// Where others have counted little nothing is compared. One bad one more
	// than they had is forgiven them, for none of them may have had any yet.
	if band.GetBadTimes() > 0 && others >= max(band.GetSamples(), 1) {
		theirs := float64(m.GetOthersBad()+1) / float64(others+1)
		if share > band.GetBadTimes()*theirs {
			return fmt.Sprintf("%s: %d of %d are bad, %.3f %%, more than %g times the %.3f %% of the others",
				band.GetHealth(), m.GetBad(), total, 100*share, band.GetBadTimes(), 100*theirs), ""
		}
	}
	own, theirs := m.GetP99().AsDuration(), m.GetOthersP99().AsDuration()
	if band.GetP99Times() > 0 && theirs > 0 && float64(own) > band.GetP99Times()*float64(theirs) {
		return fmt.Sprintf("%s: p99 of %v, more than %g times the %v of the others", band.GetHealth(), own, band.GetP99Times(), theirs), ""
	}
	return "", ""
}
