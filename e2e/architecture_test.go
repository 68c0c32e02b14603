package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// adapters are packages of services that may do I/O, speak proto and SQL,
// beside api, store, service and cmd, which always may. Every other package of
// a service is its domain: pure.
var adapters = map[string][]string{
	"configstore": {"ads", "internal/access", "internal/ack", "internal/canary", "internal/engine", "internal/object", "internal/seal", "internal/xds", "internal/manifest", "internal/tool"},
	"coordinator": {"internal/coordinatortest", "internal/message", "internal/participant", "internal/runner", "internal/tool"},
	"gateway":     {"internal/adapt", "internal/edge", "internal/engine", "internal/epoll", "internal/exchange", "internal/filter", "internal/filter/accesslog", "internal/filter/coding", "internal/h1", "internal/h2", "internal/h3", "internal/media", "internal/quota", "internal/relay", "internal/secret", "internal/upstream", "internal/xds"},
	"recommender": {"internal/engine", "internal/intake", "internal/model", "internal/shelf", "internal/trainer"},
	"rules":       {"internal/backtest", "internal/catalog", "internal/counting", "internal/folder", "internal/listing", "internal/part", "internal/release", "internal/tool", "velocity/memory"},
	"settlement":  {"", "internal/cashier", "internal/engine", "internal/matcher", "internal/payer", "internal/policy", "internal/reconciler", "internal/tool"},
	"storefront":  {"internal/credential", "internal/ingest", "internal/purchase"},
	"transcoder": {
		"", "internal/cliptest", "internal/encode", "internal/hls", "internal/intake", "internal/probe",
		"internal/process", "internal/publish", "internal/wire", "internal/worker",
	},
}

// fields are the libraries of a service's own field, which its domain may use.
var fields = map[string][]string{
	// Facts are proto messages; kernels in assembly ask what the processor has.
	"rules": {"google.golang.org/protobuf/", "golang.org/x/sys/cpu"},
}

// impure are the parts of the standard library that do I/O.
var impure = []string{"database/sql", "net", "net/http", "net/rpc", "os", "os/exec", "os/signal", "syscall", "io/ioutil", "plugin"}

// ofTests are packages that nothing may import but tests and what measures.
var ofTests = []string{"kit/testcert", "kit/testport"}

func TestImportRules(t *testing.T) {
	for _, fault := range importFaults(t, os.DirFS("..")) {
		t.Error(fault)
	}
}

func TestEveryPackageHasAComment(t *testing.T) {
	for _, fault := range commentFaults(t, os.DirFS("..")) {
		t.Error(fault)
	}
}

func importFaults(t *testing.T, fsys fs.FS) []string {
	t.Helper()
	sources, err := readSources(fsys)
	if err != nil {
		t.Fatal(err)
	}
	var faults []string
	for dir, s := range sources {
		for _, imported := range slices.Concat(s.imports, s.testOnly) {
			if ours, found := strings.CutPrefix(imported, prefix); found && !mayImport(*s, ours) {
				faults = append(faults, fmt.Sprintf("%s: must not import %s", dir, ours))
			}
		}
		for _, imported := range s.imports {
			if ours, found := strings.CutPrefix(imported, prefix); found && slices.Contains(ofTests, ours) && !tests(*s) {
				faults = append(faults, fmt.Sprintf("%s: only tests may import %s", dir, ours))
			}
			if isDomain(*s) && !pure(*s, imported) {
				faults = append(faults, fmt.Sprintf("%s: a domain package must not import %s (if it is an adapter, list it as one)", dir, imported))
			}
		}
	}
	for service, dirs := range adapters {
		for _, within := range dirs {
			if dir := strings.TrimSuffix("services/"+service+"/"+within, "/"); sources[dir] == nil {
				faults = append(faults, dir+": listed as an adapter, but is no package")
			}
		}
	}
	slices.Sort(faults)
	return faults
}

// mayImport tells whether a package may import another of ours, both as
// folders from the root.
func mayImport(s source, imported string) bool {
	from, _, _ := strings.Cut(s.dir, "/")
	to, _, _ := strings.Cut(imported, "/")
	service, within := s.service()
	target, targetWithin := source{dir: imported}.service()
	switch {
	case strings.HasPrefix(within, "cmd/"):
		return to == "kit" || to == "console" || imported == "services/"+service+"/service"
	case service != "":
		return to == "kit" || to == "proto" || to == "sql" || target == service
	}
	switch from {
	case to:
		return true
	case "cmd":
		// The demo, below internal, is a client of the public API.
		return to == "kit" || to == "console" || targetWithin == "service" || to == "proto" && s.name != "main"
	case "kit":
		return to == "proto" || to == "sql"
	case "e2e":
		return to == "kit" || to == "proto"
	case "bench":
		return to == "kit" || to == "proto" || target != "" && !strings.HasPrefix(targetWithin, "cmd/")
	default: // proto, sql, console, tools
		return false
	}
}

// tests tells whether all of a package is for tests and measurements.
func tests(s source) bool {
	return strings.HasPrefix(s.dir, "e2e") || strings.HasPrefix(s.dir, "bench")
}

func isDomain(s source) bool {
	service, within := s.service()
	if service == "" || s.name == "main" || slices.Contains(adapters[service], within) {
		return false
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(within, "internal/"), "/")
	return !slices.Contains([]string{"api", "store", "service", "cmd"}, first)
}

// pure tells whether a domain package may import this: the standard library
// without I/O, kit/money, the domain of the same service, the field's library.
func pure(s source, imported string) bool {
	service, _ := s.service()
	if ours, found := strings.CutPrefix(imported, prefix); found {
		other := source{dir: ours}
		owner, _ := other.service()
		return ours == "kit/money" || owner == service && isDomain(other)
	}
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") {
		return !slices.Contains(impure, imported)
	}
	return slices.ContainsFunc(fields[service], func(library string) bool { return strings.HasPrefix(imported, library) })
}

func commentFaults(t *testing.T, fsys fs.FS) []string {
	t.Helper()
	sources, err := readSources(fsys)
	if err != nil {
		t.Fatal(err)
	}
	var faults []string
	for dir, s := range sources {
		if !s.commented && !s.generated {
			faults = append(faults, dir+": no package comment")
		}
	}
	slices.Sort(faults)
	return faults
}

// TestPlantedViolationsAreFound proves that the rules above can fail.
func TestPlantedViolationsAreFound(t *testing.T) {
	file := func(imports ...string) *fstest.MapFile {
		text := "// Package p is planted.\npackage p\n"
		for _, imported := range imports {
			text += fmt.Sprintf("import _ %q\n", imported)
		}
		return &fstest.MapFile{Data: []byte(text)}
	}
	planted := fstest.MapFS{
		"services/rules/internal/api/p.go":        file(prefix+"services/settlement", prefix+"kit/rpc", "net/http"),
		"services/rules/cmd/rules/p.go":           file(prefix+"services/rules/service", prefix+"proto/gen/x"),
		"services/settlement/internal/led/p.go":   file("os", "net/netip", prefix+"kit/money", prefix+"kit/mq", "example.org/x"),
		"services/settlement/internal/b/p.go":     file(prefix+"services/settlement/internal/store", prefix+"services/settlement/internal/led"),
		"services/rules/fact/p.go":                file("google.golang.org/protobuf/proto"),
		"services/rules/fact/p_test.go":           file("os", prefix+"services/gateway/service"),
		"services/settlement/internal/store/p.go": file("database/sql", prefix+"sql/gen/settlement"),
		"kit/mq/p.go":                    file(prefix+"proto/gen/x", prefix+"services/rules", prefix+"kit/testcert"),
		"kit/mq/p_test.go":               file(prefix + "kit/testport"),
		"bench/served.go":                file(prefix + "kit/testport"),
		"kit/mq/windows.go":              {Data: []byte("//go:build windows\n\npackage p\nimport _ \"" + prefix + "e2e\"\n")},
		"proto/x/p.go":                   file(prefix + "kit/mq"),
		"sql/p.go":                       file(prefix + "proto"),
		"cmd/backlot/internal/demo/p.go": file(prefix+"proto/x", prefix+"services/rules"),
		"cmd/backlot/main.go":            {Data: []byte("// Command p is planted.\npackage main\nimport _ \"" + prefix + "proto/x\"\nimport _ \"" + prefix + "services/rules/service\"\n")},
		"e2e/p.go":                       file(prefix+"kit/mq", prefix+"services/rules"),
		"bench/p.go":                     file(prefix + "services/rules"),
		"bench/bare.go":                  {Data: []byte("package p\n")},
		"bench/bare/p.go":                {Data: []byte("package p\n")},
		"proto/gen/p.go":                 {Data: []byte("// Code generated by x. DO NOT EDIT.\n\npackage p\n")},
	}
	want := []string{
		"cmd/backlot/internal/demo: must not import services/rules",
		"cmd/backlot: must not import proto/x",
		"e2e: must not import services/rules",
		"kit/mq: must not import e2e",
		"kit/mq: must not import services/rules",
		"kit/mq: only tests may import kit/testcert",
		"proto/x: must not import kit/mq",
		"services/rules/cmd/rules: must not import proto/gen/x",
		"services/rules/fact: must not import services/gateway/service",
		"services/rules/internal/api: must not import services/settlement",
		"services/settlement/internal/b: a domain package must not import " + prefix + "services/settlement/internal/store (if it is an adapter, list it as one)",
		"services/settlement/internal/led: a domain package must not import example.org/x (if it is an adapter, list it as one)",
		"services/settlement/internal/led: a domain package must not import " + prefix + "kit/mq (if it is an adapter, list it as one)",
		"services/settlement/internal/led: a domain package must not import os (if it is an adapter, list it as one)",
		"sql: must not import proto",
	}
	got := slices.DeleteFunc(importFaults(t, planted), func(fault string) bool { return strings.HasSuffix(fault, "but is no package") })
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := commentFaults(t, planted); !slices.Equal(got, []string{"bench/bare: no package comment"}) {
		t.Errorf("packages without a comment: %v", got)
	}
}
