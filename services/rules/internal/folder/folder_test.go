package folder

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/internal/catalog"
	"github.com/backlot-video/backlot/services/rules/internal/facttest"
	"github.com/backlot-video/backlot/services/rules/list"
)

func TestFolderIsTakenUpAndFollowed(t *testing.T) {
	dir := t.TempDir()
	modified := time.Now()
	write := func(name, content string) {
		modified = modified.Add(time.Second) // file systems may keep whole seconds
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, modified, modified); err != nil {
			t.Fatal(err)
		}
	}
	set := &descriptorpb.FileDescriptorSet{}
	file := facttest.Order().ParentFile()
	for i := range file.Imports().Len() {
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file.Imports().Get(i).FileDescriptor))
	}
	set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
	raw, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	c := catalog.New(catalog.Config{Dir: t.TempDir(), Clock: time.Now})
	f := &Folder{Dir: dir, Catalog: c, Log: slog.New(slog.DiscardHandler), Limits: list.Config{MaxEntries: 2}}
	verdict := func() string {
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
		var d rules.Decision
		if err := c.Evaluate(&catalog.Query{FactType: "test.OrderFact", JSON: []byte(`{"ip": "10.0.0.1"}`)}, &d); err != nil {
			return "none"
		}
		return d.Action.String()
	}
	write("shop.binpb", string(raw))
	write("notes.txt", "not a ruleset")
	write("risk.rules", "# Risk.\n# fact: test.OrderFact\nrule a when ip in list @bad then deny\n")
	if got := verdict(); got != "none" {
		t.Errorf("without its list: %s", got)
	}
	write("bad.list", "# networks\n10.0.0.0/8\n\n")
	if got := verdict(); got != "deny" {
		t.Errorf("with its list: %s, status %+v", got, c.Status())
	}
	write("bad.list", "# match: prefix\n10.\n11.*\n")
	if got := verdict(); got != "deny" || c.Lists()[0].Rejected != "bad.list: line 3: list: bad entry: \"11.*\": prefixes are written without '*'" {
		t.Errorf("with a bad list: %s, %+v", got, c.Lists())
	}
	write("bad.list", "a\nb\nc\n")
	if got := verdict(); got != "deny" || c.Lists()[0].Rejected != "bad.list: line 3: list: too large: more than 2 entries" {
		t.Errorf("with a long list: %s, %+v", got, c.Lists())
	}
	write("bad.list", "# match: prefix\n10.\n")
	if got := verdict(); got != "deny" || c.Lists()[0].Match != list.Prefix || c.Lists()[0].Version == "" {
		t.Errorf("with prefixes: %s, %+v", got, c.Lists())
	}
	write("risk.rules", "# fact: test.OrderFact\nrule a when ip in list @bad then\n")
	if got := verdict(); got != "deny" {
		t.Errorf("after a bad edit: %s", got)
	}
	write("risk.rules", "# fact: test.OrderFact\nrule a when ip in list @bad then review\n")
	if got := verdict(); got != "review" {
		t.Errorf("after a good edit: %s", got)
	}
	write("risk.rules", "# fact: test.OrderFact\nrule a when convert(1.00 USD, CNY) > 7.00 CNY then challenge\n"+
		"test \"rates\" given { ip: \"x\" } expect challenge\n")
	if got := verdict(); got != "review" {
		t.Errorf("without rates: %s", got)
	}
	write("default.rates", "base USD\nCNY 0.14\n")
	if got := verdict(); got != "challenge" {
		t.Errorf("with rates: %s, status %+v", got, c.Status())
	}
	write("default.rates", "base USD\nCNY 0\n")
	write("other.rates", "base USD\nCNY 0.9\n")
	if got := verdict(); got != "challenge" {
		t.Errorf("with bad rates: %s", got)
	}
	if err := os.Remove(filepath.Join(dir, "default.rates")); err != nil {
		t.Fatal(err)
	}
	if got := verdict(); got != "allow" {
		t.Errorf("without rates again: %s", got)
	}
	if err := os.Remove(filepath.Join(dir, "risk.rules")); err != nil {
		t.Fatal(err)
	}
	if got := verdict(); got != "none" {
		t.Errorf("after deletion: %s", got)
	}
	f.Dir = filepath.Join(dir, "nowhere")
	if err := f.Sync(); err == nil {
		t.Error("a missing folder is no error")
	}
}
