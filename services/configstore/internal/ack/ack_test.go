package ack_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/ack"
)

func report(id string, sequence, revision int64, reasons ...string) *configstorev1.Report {
	a := &configstorev1.Acknowledgement{Kind: "Route", Revision: revision}
	for _, reason := range reasons {
		a.Rejected = append(a.Rejected, &configstorev1.Rejection{Name: "shop", Revision: revision, Reason: reason})
	}
	return &configstorev1.Report{
		Subscriber: &configstorev1.Subscriber{Id: id}, StartedAt: 1, Sequence: sequence, Kinds: []*configstorev1.Acknowledgement{a},
	}
}

func anyKind(string) bool { return true }

func TestBookKeepsTheNewestReportUnderALease(t *testing.T) {
	now := time.Unix(1000, 0)
	registry := prometheus.NewRegistry()
	book := ack.NewBook(func() time.Time { return now }, registry)
	put := func(tenant string, r *configstorev1.Report) {
		t.Helper()
		if err := book.Put(tenant, r, anyKind); err != nil {
			t.Fatal(err)
		}
	}
	put("main", report("b", 2, 20, "bad path"))
	put("main", report("b", 1, 10)) // overtaken on its way
	put("main", report("b", 3, 20, "bad path"))
	put("other", report("b", 1, 5))
	put("main", report("a", 1, 10))
	entries := book.Entries("main")
	if len(entries) != 2 || entries[0].ID() != "a" || entries[1].Report.GetSequence() != 3 {
		t.Errorf("entries: %v", entries)
	}
	want := "# HELP backlot_configstore_rejected_total Objects that instances reported as rejected, by kind.\n" +
		"# TYPE backlot_configstore_rejected_total counter\nbacklot_configstore_rejected_total{kind=\"Route\"} 1\n"
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "backlot_configstore_rejected_total"); err != nil {
		t.Error(err)
	}
	now = now.Add(ack.Lease)
	put("main", report("a", 2, 10))
	now = now.Add(time.Second)
	if entries := book.Entries("main"); len(entries) != 1 || entries[0].ID() != "a" {
		t.Errorf("after the lease: %v", entries)
	}
}

func TestBookIsBounded(t *testing.T) {
	now := time.Unix(1000, 0)
	book := ack.NewBook(func() time.Time { return now }, nil)
	for n := range ack.MaxInstances {
		if err := book.Put("main", report(fmt.Sprint(n), 1, 1), anyKind); err != nil {
			t.Fatal(err)
		}
	}
	if err := book.Put("main", report("more", 1, 1), anyKind); !errors.Is(err, ack.ErrFull) {
		t.Errorf("one too many: %v", err)
	}
	now = now.Add(ack.Lease + time.Second)
	if err := book.Put("main", report("more", 1, 1), anyKind); err != nil {
		t.Errorf("when the others are gone: %v", err)
	}
}

func TestMembersReportsAreOneList(t *testing.T) {
	moved := ack.Entry{Report: report("b", 2, 20)}
	merged := ack.Merge(
		[]ack.Entry{{Report: report("b", 1, 10)}, {Report: report("c", 1, 10)}},
		[]ack.Entry{moved, {Report: report("a", 1, 10)}},
	)
	if len(merged) != 3 || merged[1] != moved {
		t.Errorf("merged: %v", merged)
	}
	var seen []string
	for after := ""; ; {
		page, next := ack.Page(merged, after, 2)
		for _, entry := range page {
			seen = append(seen, entry.ID())
		}
		if after = next; next == "" {
			break
		}
	}
	if fmt.Sprint(seen) != "[a b c]" {
		t.Errorf("pages: %v", seen)
	}
}

func TestRolloutTellsWhoRejectsAndWhoIsBehind(t *testing.T) {
	now := time.Unix(1000, 0)
	entries := []ack.Entry{
		{report("a", 1, 812), now}, {report("b", 1, 700), now}, {report("c", 1, 812, "bad path"), now.Add(-time.Second)},
	}
	newest := func(string) (int64, error) { return 812, nil }
	rollouts, err := ack.Rollouts(entries, "", newest, now)
	if err != nil || len(rollouts) != 1 {
		t.Fatal(rollouts, err)
	}
	r := rollouts[0]
	if r.GetInstances() != 3 || r.GetAccepted() != 1 || r.GetBehind() != 1 || r.GetRejected() != 1 || r.GetRevision() != 812 {
		t.Errorf("rollout: %v", r)
	}
	if d := r.GetDetails(); len(d) != 2 || d[0].GetSubscriber().GetId() != "c" || d[0].GetAge().AsDuration() != time.Second || d[1].GetSubscriber().GetId() != "b" {
		t.Errorf("details: %v", d)
	}
	if rollouts, _ := ack.Rollouts(entries, "Cluster", newest, now); len(rollouts) != 1 || rollouts[0].GetInstances() != 0 {
		t.Errorf("a kind that nobody follows: %v", rollouts)
	}
}
