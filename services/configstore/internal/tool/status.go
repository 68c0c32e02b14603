package tool

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/tool"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1/configstorev1connect"
)

const mebibyte = 1 << 20

func statusVerb() tool.Verb {
	return tool.Verb{
		Name: "status", About: "shows the members, who leads, and how far each is",
		More: "The leader alone knows how far followers are. Exit code 1 where there is no leader, an alarm, or a follower that was\n" +
			"not heard of lately.",
		Examples: []string{"status", "status --json"},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			r := &remote{}
			r.register(set, std)
			return r.Online(tool.Want(0, "no arguments"), func(ctx context.Context, _ []string) error {
				status, err := getStatus(ctx, r.cluster(0))
				if err != nil {
					return err
				}
				if r.json {
					err = tool.WriteJSON(std.Out, status)
				} else {
					err = writeStatus(std, status)
				}
				if err == nil && faulty(status) {
					return tool.ErrFaults
				}
				return err
			})
		},
	}
}

// getStatus asks again where a follower is silent: in each election time there
// is a heartbeat for which the leader has heard of nobody yet.
func getStatus(ctx context.Context, cluster configstorev1connect.ClusterServiceClient) (*configstorev1.GetStatusResponse, error) {
	status, err := cluster.GetStatus(ctx, &configstorev1.GetStatusRequest{})
	if err != nil || !silent(status) {
		return status, err
	}
	select {
	case <-time.After(status.GetElection().AsDuration() / 2):
		return cluster.GetStatus(ctx, &configstorev1.GetStatusRequest{})
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// silent tells whether there is a follower that was not heard of.
func silent(s *configstorev1.GetStatusResponse) bool {
	for _, m := range s.GetMembers() {
		if p := m.GetProgress(); p != nil && !p.GetActive() {
			return true
		}
	}
	return false
}

func faulty(s *configstorev1.GetStatusResponse) bool {
	return silent(s) || s.GetLeaderId() == "" || len(s.GetAlarms()) > 0
}

func writeStatus(std *tool.Stdio, s *configstorev1.GetStatusResponse) error {
	rows := [][]string{{"MEMBER", "ID", "ROLE", "ADDRESS", "PROGRESS", "BEHIND"}}
	for _, m := range s.GetMembers() {
		role, progress, behind := "follower", "", ""
		switch {
		case m.GetLeader():
			role = "leader"
		case m.GetLearner():
			role = "learner"
		}
		if m.GetSelf() {
			role += " *"
		}
		if p := m.GetProgress(); p != nil {
			progress = strings.ToLower(strings.TrimPrefix(p.GetState().String(), "STATE_"))
			if !p.GetActive() {
				progress += ", silent"
			}
			behind = strconv.FormatUint(s.GetCommittedIndex()-min(p.GetMatchIndex(), s.GetCommittedIndex()), 10)
		}
		rows = append(rows, []string{nameOf(m), m.GetId(), role, m.GetPeerUrl(), progress, behind})
	}
	if err := tool.WriteTable(std.Out, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(std.Out,
		"\nrevision %d, term %d, applied %d of %d; %d MiB, %d in use, quota %d\nelection after %v; leaders seen %d, stepped down %d times\n",
		s.GetRevision(), s.GetTerm(), s.GetAppliedIndex(), s.GetCommittedIndex(), s.GetSizeBytes()/mebibyte, s.GetUsedBytes()/mebibyte,
		s.GetQuotaBytes()/mebibyte, s.GetElection().AsDuration(), s.GetLeaderChanges(), s.GetStepDowns())
	if err == nil && s.GetLeaderId() == "" {
		_, err = fmt.Fprintln(std.Out, "there is no leader: fewer than half of the members reach each other; nothing can be written")
	}
	for _, alarm := range s.GetAlarms() {
		if err == nil {
			_, err = fmt.Fprintln(std.Out, "alarm:", alarm)
		}
	}
	return err
}

func doctorVerb() tool.Verb {
	return tool.Verb{
		Name: "doctor", About: "measures round trips, the disk and stalls, and recommends a profile",
		More: "A leader is given up after an election time without a word of it. What must not be taken for a dead leader are stalls, of\n" +
			"machines, disks and networks, with a round trip on top. Measure at the busiest hour, on each member. Exit code 1 where\n" +
			"the profile in force is too impatient.",
		Examples: []string{"doctor", "doctor --duration 5m"},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			r, duration := &remote{}, time.Duration(0)
			r.register(set, std)
			set.Duration(&duration, "duration", 10*time.Second, "how `long` to look, 1s to 10m")
			check := func(args []string) error {
				if duration < time.Second || duration > 10*time.Minute {
					return fmt.Errorf("--duration: %v, must be from 1s to 10m", duration)
				}
				return tool.Want(0, "no arguments")(args)
			}
			return r.Online(check, func(ctx context.Context, _ []string) error {
				m, err := r.cluster(duration).Measure(ctx, &configstorev1.MeasureRequest{Duration: durationpb.New(duration)})
				if err != nil {
					return err
				}
				if r.json {
					err = tool.WriteJSON(std.Out, m)
				} else {
					err = writeMeasure(std, m)
				}
				if err == nil && (!m.GetFits() || slower(m.GetRecommended(), m.GetInForce())) {
					return tool.ErrFaults
				}
				return err
			})
		},
	}
}

func writeMeasure(std *tool.Stdio, m *configstorev1.MeasureResponse) error {
	show := func(d *durationpb.Duration) string { return d.AsDuration().Round(10 * time.Microsecond).String() }
	rows := [][]string{{"", "P50", "P99", "LONGEST", "LOST"}}
	for _, p := range m.GetPeers() {
		rows = append(rows, []string{
			"round trip to " + p.GetName(), show(p.GetP50()), show(p.GetP99()), show(p.GetMax()), fmt.Sprintf("%d of %d", p.GetLost(), p.GetSent()),
		})
	}
	rows = append(rows,
		[]string{"write to the disk", show(m.GetDiskP50()), show(m.GetDiskP99()), show(m.GetDiskMax()), ""},
		[]string{"timers late", "", "", show(m.GetStall()), ""})
	if err := tool.WriteTable(std.Out, rows); err != nil {
		return err
	}
	advice := "recommended profile: " + m.GetRecommended()
	switch {
	case !m.GetFits():
		advice += ", though even that is too impatient for such stalls: find their cause first"
	case m.GetInForce() == "":
	case slower(m.GetRecommended(), m.GetInForce()):
		advice += fmt.Sprintf("; %s, which is in force, is too impatient: set --configstore.profile on every member", m.GetInForce())
	default:
		advice += fmt.Sprintf("; %s is in force and will do", m.GetInForce())
	}
	_, err := fmt.Fprintf(std.Out, "\n%s\n", advice)
	return err
}
