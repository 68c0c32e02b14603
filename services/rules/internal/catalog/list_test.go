package catalog

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/backlot-video/backlot/services/rules/list"
)

func TestListsTellTheirVersionsAndFaults(t *testing.T) {
	c := open(t, t.TempDir())
	bins, err := list.Make(list.Config{Match: list.Prefix}, []string{"42", "55"})
	if err != nil {
		t.Fatal(err)
	}
	c.SetList("bins", "v1", bins, time.Second)
	c.RefuseList("bins", "v2", errors.New("not good"))
	c.RefuseList("never", "v1", errors.New("not there"))
	c.RefuseList("never", "v1", errors.New("not there"))
	c.RefuseList("never", "v2", errors.New("not there"))
	if n := testutil.ToFloat64(c.metrics.rejections); n != 3 {
		t.Errorf("%v rejections counted", n)
	}
	all := c.Lists()
	if len(all) != 2 || all[0].Version != "v1" || all[0].Match != list.Prefix || all[0].Entries != 2 || all[0].Took != time.Second ||
		all[0].Rejected != "not good" || all[1].Version != "" || all[1].Rejected != "not there" {
		t.Errorf("status %+v", all)
	}
	if _, _, err := c.List("never"); !errors.Is(err, ErrUnknownList) {
		t.Errorf("a list that is not in force: %v", err)
	}
	want := `
# HELP backlot_rules_list_rejected 1 while the newest version of a list is not in force.
# TYPE backlot_rules_list_rejected gauge
backlot_rules_list_rejected{list="bins"} 1
backlot_rules_list_rejected{list="never"} 1
`
	if err := testutil.CollectAndCompare(c.metrics.lists.rejected, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	c.SetList("bins", "v2", bins, time.Second)
	if all := c.Lists(); all[0].Version != "v2" || all[0].Rejected != "" {
		t.Errorf("status %+v", all)
	}
	if got := testutil.ToFloat64(c.metrics.lists.entries.WithLabelValues("bins")); got != 2 {
		t.Errorf("%v entries", got)
	}
	c.DeleteList("bins")
	if n := testutil.CollectAndCount(c.metrics.lists.entries); n != 0 {
		t.Errorf("%d series of a deleted list", n)
	}
}
