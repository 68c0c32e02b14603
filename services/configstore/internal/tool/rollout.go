package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/tool"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1/configstorev1connect"
	"github.com/backlot-video/backlot/services/configstore/internal/manifest"
)

func rolloutVerb() tool.Verb {
	return tool.Verb{
		Name: "status", Args: "[KIND]", About: "shows which instances have what is in force, and who rejects it",
		More: "Instances report what they hold within a second of each change, and are forgotten 30 s after their last word. Exit code 1\n" +
			"where one rejects something, or a member did not answer.",
		Examples: []string{"status", "status route", "status --json"},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			s := &store{}
			s.register(set, std)
			check := func(args []string) error {
				if len(args) > 1 {
					return errors.New("want one KIND or none; try --help")
				}
				return nil
			}
			return s.known(check, func(ctx context.Context, args []string) error {
				request := new(configstorev1.GetRolloutRequest)
				if len(args) == 1 {
					request.Kind = s.kindName(args[0])
				}
				client := configstorev1connect.NewAcknowledgementServiceClient(s.Client, s.URL)
				response, err := client.GetRollout(ctx, request)
				if err != nil {
					return err
				}
				if s.json {
					err = tool.WriteJSON(std.Out, response)
				} else {
					err = writeRollouts(std.Out, response)
				}
				if err == nil && unsettled(response) {
					return tool.ErrFaults
				}
				return err
			})
		},
	}
}

func unsettled(r *configstorev1.GetRolloutResponse) bool {
	rejected := int32(0)
	for _, kind := range r.GetKinds() {
		rejected += kind.GetRejected()
	}
	return rejected > 0 || len(r.GetSilentMembers()) > 0
}

func writeRollouts(w io.Writer, response *configstorev1.GetRolloutResponse) error {
	if len(response.GetKinds()) == 0 {
		if _, err := fmt.Fprintln(w, "no instance has reported"); err != nil {
			return err
		}
	}
	rows := [][]string{{"KIND", "REVISION", "INSTANCES", "ACCEPTED", "BEHIND", "REJECTED"}}
	for _, r := range response.GetKinds() {
		rows = append(rows, []string{
			r.GetKind(), strconv.FormatInt(r.GetRevision(), 10), number(r.GetInstances()), number(r.GetAccepted()), number(r.GetBehind()), number(r.GetRejected()),
		})
	}
	if len(rows) > 1 {
		if err := tool.WriteTable(w, rows); err != nil {
			return err
		}
	}
	for _, r := range response.GetKinds() {
		if err := writeDetails(w, r); err != nil {
			return err
		}
	}
	for _, member := range response.GetSilentMembers() {
		if _, err := fmt.Fprintf(w, "member %s did not answer: instances that report to it are missing\n", tool.Printable(member)); err != nil {
			return err
		}
	}
	return nil
}

func number(n int32) string { return strconv.Itoa(int(n)) }

// writeDetails names the instances of a kind that have not got what is in force,
// those with the same reason together.
func writeDetails(w io.Writer, r *configstorev1.KindRollout) error {
	type reason struct {
		revision int64
		text     string
	}
	var order []reason
	who := map[reason][]string{}
	var behind []string
	for _, d := range r.GetDetails() {
		if len(d.GetRejected()) == 0 && d.GetRevision() < r.GetRevision() {
			behind = append(behind, fmt.Sprintf("%s (at %d, heard of %v ago)", d.GetSubscriber().GetId(), d.GetRevision(), d.GetAge().AsDuration().Round(time.Second)))
		}
		for _, one := range d.GetRejected() {
			why := reason{one.GetRevision(), one.GetReason()}
			if one.GetName() != "" {
				why.text = manifest.Title(&configstorev1.Key{Kind: r.GetKind(), Namespace: one.GetNamespace(), Name: one.GetName()}) + ": " + why.text
			}
			if _, known := who[why]; !known {
				order = append(order, why)
			}
			who[why] = append(who[why], d.GetSubscriber().GetId())
		}
	}
	for _, why := range order {
		at := ""
		if why.revision > 0 {
			at = fmt.Sprintf(" revision %d", why.revision)
		}
		_, err := fmt.Fprintf(w, "\n%s: %d of %d rejected%s: %s\n  %s\n", r.GetKind(), len(who[why]), r.GetInstances(), at,
			tool.Printable(why.text), tool.Printable(strings.Join(who[why], ", ")))
		if err != nil {
			return err
		}
	}
	if len(behind) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "\n%s: %d of %d are behind revision %d\n  %s\n", r.GetKind(), r.GetBehind(), r.GetInstances(), r.GetRevision(),
		tool.Printable(strings.Join(behind, ", ")))
	return err
}
