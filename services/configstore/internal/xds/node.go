package xds

import (
	"cmp"
	"slices"
	"strings"
	"time"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/ads"
	"github.com/backlot-video/backlot/services/configstore/internal/ack"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

// maxID bounds the id of a node in reports; the contract's.
const maxID = 128

// kindsByType are the kinds of objects that a type of resources is made of.
var kindsByType = map[string]string{
	ads.SecretType: object.SecretKind, ads.ClusterType: "Cluster", ads.EndpointType: "Cluster",
	ads.ListenerType: "Listener", ads.RouteType: "Route", ads.ManifestType: "Route",
}

// Nodes are the clients that are connected, as reports of the kinds that xDS is
// rendered from.
func (p *Plane) Nodes() []ack.Entry {
	now := time.Now()
	newest := make(map[string]ack.Entry)
	for n, standing := range p.server.Standings() {
		id := standing.Node.GetId()
		if id == "" {
			continue
		}
		entry := ack.Entry{Report: reportOf(standing, int64(n)+1), Heard: now}
		// Of several streams of a node one that refuses something counts.
		if before, twice := newest[entry.ID()]; !twice || refusals(entry) > refusals(before) {
			newest[entry.ID()] = entry
		}
	}
	entries := make([]ack.Entry, 0, len(newest))
	for _, entry := range newest {
		entries = append(entries, entry)
	}
	slices.SortFunc(entries, func(a, b ack.Entry) int { return cmp.Compare(a.ID(), b.ID()) })
	return entries
}

func refusals(entry ack.Entry) (sum int) {
	for _, a := range entry.Report.GetKinds() {
		sum += len(a.GetRejected())
	}
	return sum
}

func reportOf(standing ads.Standing, sequence int64) *configstorev1.Report {
	report := &configstorev1.Report{
		Subscriber: subscriberOf(standing.Node),
		StartedAt:  1, Sequence: sequence,
	}
	var revision int64
	if standing.Accepted != nil {
		revision = standing.Accepted.Revision()
	}
	for _, kind := range []string{"Cluster", "Listener", "Route", object.SecretKind, "VerificationKey"} {
		a := &configstorev1.Acknowledgement{Kind: kind, Revision: revision}
		for _, refused := range standing.Refused {
			if kindsByType[refused.Type] == kind {
				a.Rejected = append(a.Rejected, rejectionOf(refused))
			}
		}
		report.Kinds = append(report.Kinds, a)
	}
	return report
}

func rejectionOf(refused ads.Refusal) *configstorev1.Rejection {
	reason := refused.Reason
	if len(refused.Resources) > 0 {
		reason += " (one of " + strings.Join(refused.Resources, ", ") + ")"
	}
	return &configstorev1.Rejection{Reason: cut(cmp.Or(reason, "no reason was given"), 512)}
}

// cut bounds text that a client sent.
func cut(text string, most int) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "")
	}
	return text
}
