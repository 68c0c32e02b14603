package lsp

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/facttest"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
	"github.com/backlot-video/backlot/services/rules/list"
)

var update = flag.Bool("update", false, "rewrite the expectations of testdata/*.txt")

// documented is the schema of orders, of which one field has a comment.
func documented(t testing.TB) *fact.Schema {
	t.Helper()
	file := protodesc.ToFileDescriptorProto(facttest.Order().ParentFile())
	order := slices.IndexFunc(file.GetMessageType(), func(m *descriptorpb.DescriptorProto) bool { return m.GetName() == "OrderFact" })
	file.SourceCodeInfo = &descriptorpb.SourceCodeInfo{Location: []*descriptorpb.SourceCodeInfo_Location{{
		Path: []int32{4, int32(order), 2, 0}, Span: []int32{1, 1, 2}, LeadingComments: proto.String(" What the viewer pays.\n"),
	}}}
	built, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	schema, err := fact.New(built.Messages().ByName("OrderFact"), fact.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func config(t testing.TB) Config {
	t.Helper()
	schema, lists := documented(t), &list.Registry{}
	entries, err := list.New([]string{"a", "b"})
	if err != nil {
		t.Fatal(err)
	}
	lists.Set("datacenters", entries)
	return Config{Version: "test", Resolve: func(_, text string) (Surroundings, error) {
		if strings.Contains(text, "# fact: no.Such") {
			return Surroundings{}, errors.New("fact type no.Such is not known")
		}
		return Surroundings{Schema: schema, Lists: lists}, nil
	}}
}

// client speaks to a server over pipes.
type client struct {
	t    *testing.T
	in   io.WriteCloser
	out  *bufio.Reader
	id   int
	done chan error
}

func start(t *testing.T) *client {
	t.Helper()
	fromClient, toServer := io.Pipe()
	fromServer, toClient := io.Pipe()
	c := &client{t: t, in: toServer, out: bufio.NewReader(fromServer), done: make(chan error, 1)}
	server := NewServer(config(t), fromClient, toClient)
	go func() {
		err := server.Run()
		_ = toClient.CloseWithError(io.EOF)
		_ = fromClient.Close()
		c.done <- err
	}()
	return c
}

func (c *client) send(message any) {
	c.t.Helper()
	if err := writeMessage(c.in, message); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) notify(method string, params any) {
	c.t.Helper()
	c.send(notification{"2.0", method, params})
}

// read returns the next message that method or id names; others are passed by.
func (c *client) read(wanted func(m map[string]json.RawMessage) bool) map[string]json.RawMessage {
	c.t.Helper()
	for {
		body, err := readMessage(c.out)
		if err != nil {
			c.t.Fatalf("read: %v", err)
		}
		var m map[string]json.RawMessage
		if err := json.Unmarshal(body, &m); err != nil {
			c.t.Fatal(err)
		}
		if wanted(m) {
			return m
		}
	}
}

// call sends a request and decodes its result; it returns the error's message.
func (c *client) call(method string, params, result any) string {
	c.t.Helper()
	c.id++
	id := fmt.Sprint(c.id)
	c.send(map[string]any{"jsonrpc": "2.0", "id": c.id, "method": method, "params": params})
	m := c.read(func(m map[string]json.RawMessage) bool { return string(m["id"]) == id })
	if m["error"] != nil {
		var e rpcError
		if err := json.Unmarshal(m["error"], &e); err != nil {
			c.t.Fatal(err)
		}
		return fmt.Sprintf("error %d: %s", e.Code, e.Message)
	}
	if result != nil {
		if err := json.Unmarshal(m["result"], result); err != nil {
			c.t.Fatalf("%s: %v in %s", method, err, m["result"])
		}
	}
	return ""
}

// diagnostics waits for those of a document.
func (c *client) diagnostics() []diagnostic {
	c.t.Helper()
	m := c.read(func(m map[string]json.RawMessage) bool {
		return string(m["method"]) == `"textDocument/publishDiagnostics"`
	})
	var params diagnosticsParams
	if err := json.Unmarshal(m["params"], &params); err != nil {
		c.t.Fatal(err)
	}
	return params.Diagnostics
}

func (c *client) stop() {
	c.t.Helper()
	if failed := c.call("shutdown", nil, nil); failed != "" {
		c.t.Error(failed)
	}
	c.notify("exit", nil)
	if err := <-c.done; err != nil {
		c.t.Errorf("server ended with %v", err)
	}
}

const (
	uri  = "file:///w/risk.rules"
	mark = "¦" // the place in a source
)

// TestTranscripts runs testdata/*.txt: sections `-- what --` of a source, in
// which ¦ is the place that is asked about, each followed by the answer.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			transcript, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c := start(t)
			if failed := c.call("initialize", map[string]any{}, nil); failed != "" {
				t.Fatal(failed)
			}
			var out strings.Builder
			for i, section := range strings.Split(string(transcript), "\n-- ") {
				if i == 0 {
					out.WriteString(section)
					continue
				}
				what, body, _ := strings.Cut(section, " --\n")
				source, _, _ := strings.Cut(body, "---\n")
				fmt.Fprintf(&out, "\n-- %s --\n%s---\n%s", what, source, c.ask(what, strings.TrimSuffix(source, "\n")))
			}
			c.stop()
			if *update {
				if err := os.WriteFile(file, []byte(out.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if out.String() != string(transcript) {
				t.Errorf("got\n%s", out.String())
			}
		})
	}
}

// ask opens a source, asks and closes it.
func (c *client) ask(what, source string) string {
	c.t.Helper()
	before, after, _ := strings.Cut(source, mark)
	text := before + after
	c.notify("textDocument/didOpen", map[string]any{"textDocument": map[string]any{"uri": uri, "version": 1, "text": text}})
	found := c.diagnostics()
	lines := strings.Split(before, "\n")
	place := map[string]any{
		"textDocument": map[string]any{"uri": uri},
		"position":     position{len(lines) - 1, utf16Length(lines[len(lines)-1])},
	}
	defer func() {
		c.notify("textDocument/didClose", map[string]any{"textDocument": map[string]any{"uri": uri}})
		c.diagnostics()
	}()
	verb, argument, _ := strings.Cut(what, " ")
	switch verb {
	case "complete":
		var items []completionItem
		c.call("textDocument/completion", place, &items)
		return completions(text, items)
	case "hover":
		var h *hover
		c.call("textDocument/hover", place, &h)
		if h == nil {
			return "nothing\n"
		}
		return fmt.Sprintf("%s at %s\n", h.Contents.Value, at(h.Range))
	case "definition":
		var l *location
		c.call("textDocument/definition", place, &l)
		if l == nil {
			return "nothing\n"
		}
		return at(l.Range) + "\n"
	case "references":
		var all []location
		c.call("textDocument/references", place, &all)
		var b strings.Builder
		for _, l := range all {
			b.WriteString(at(l.Range) + "\n")
		}
		return b.String()
	case "rename":
		place["newName"] = argument
		var edit workspaceEdit
		if failed := c.call("textDocument/rename", place, &edit); failed != "" {
			return failed + "\n"
		}
		return apply(text, edit.Changes[uri]) + "\n"
	case "symbols":
		var all []symbol
		c.call("textDocument/documentSymbol", place, &all)
		var b strings.Builder
		for _, s := range all {
			fmt.Fprintf(&b, "%d %s (%s) %s, name %s\n", s.Kind, s.Name, s.Detail, at(s.Range), at(s.SelectionRange))
		}
		return b.String()
	case "format":
		var edits []textEdit
		c.call("textDocument/formatting", place, &edits)
		return apply(text, edits)
	case "tokens":
		var result tokensResult
		c.call("textDocument/semanticTokens/full", place, &result)
		d := &document{text: text}
		d.index()
		var b strings.Builder
		line, character := 0, 0
		for i := 0; i+4 < len(result.Data); i += 5 {
			if result.Data[i] > 0 {
				line, character = line+result.Data[i], 0
				b.WriteString("\n")
			}
			character += result.Data[i+1]
			word := text[d.offset(position{line, character}):d.offset(position{line, character + result.Data[i+2]})]
			fmt.Fprintf(&b, "%s:%s ", legend[result.Data[i+3]], word)
		}
		return b.String() + "\n"
	case "actions":
		place["range"] = span{place["position"].(position), place["position"].(position)}
		var all []codeAction
		c.call("textDocument/codeAction", place, &all)
		var b strings.Builder
		for _, action := range all {
			fmt.Fprintf(&b, "%s:\n%s\n", action.Title, apply(text, action.Edit.Changes[uri]))
		}
		return b.String()
	}
	var b strings.Builder
	for _, d := range found {
		fmt.Fprintf(&b, "%s %d %s %s\n", at(d.Range), d.Severity, d.Code, strings.ReplaceAll(d.Message, "\n", " / "))
	}
	return b.String()
}

func utf16Length(text string) int {
	n := 0
	for _, r := range text {
		n += unitsOf(r)
	}
	return n
}

func at(s span) string {
	return fmt.Sprintf("%d:%d-%d:%d", s.Start.Line, s.Start.Character, s.End.Line, s.End.Character)
}

// completions shows items as a client would: those that begin with what their
// edit replaces, at most 14.
func completions(text string, items []completionItem) string {
	d := &document{text: text}
	d.index()
	slices.SortStableFunc(items, func(a, b completionItem) int { return cmp.Compare(a.SortText, b.SortText) })
	var b strings.Builder
	shown := 0
	for _, item := range items {
		typed := text[d.offset(item.TextEdit.Range.Start):d.offset(item.TextEdit.Range.End)]
		if !strings.HasPrefix(cmp.Or(item.FilterText, item.Label), strings.TrimSuffix(typed, `"`)) && !strings.HasPrefix(item.TextEdit.NewText, typed) {
			continue
		}
		if shown++; shown > 14 {
			continue
		}
		b.WriteString(item.Label)
		if item.Label != item.TextEdit.NewText {
			b.WriteString(" => " + item.TextEdit.NewText)
		}
		if item.Detail != "" {
			b.WriteString(" | " + item.Detail)
		}
		if item.Kind == kindField && item.Documentation != "" {
			b.WriteString(" | " + item.Documentation)
		}
		b.WriteString("\n")
	}
	if shown > 14 {
		fmt.Fprintf(&b, "and %d more\n", shown-14)
	}
	if shown == 0 {
		return "nothing\n"
	}
	return b.String()
}

// apply makes edits, which are apart from each other.
func apply(text string, edits []textEdit) string {
	d := &document{text: text}
	d.index()
	slices.SortFunc(edits, func(a, b textEdit) int { return d.offset(b.Range.Start) - d.offset(a.Range.Start) })
	for _, edit := range edits {
		text = text[:d.offset(edit.Range.Start)] + edit.NewText + text[d.offset(edit.Range.End):]
	}
	return text
}

func TestEveryWordIsExplained(t *testing.T) {
	for _, keyword := range syntax.Keywords() {
		if keywordDocs[keyword.English] == "" {
			t.Errorf("keyword %s has no text", keyword.English)
		}
	}
	for _, fn := range check.Functions() {
		if functionDocs[fn.Name] == "" {
			t.Errorf("function %s has no text", fn.Name)
		}
	}
}

func TestLifecycle(t *testing.T) {
	c := start(t)
	if got := c.call("textDocument/hover", placeParams{}, nil); !strings.HasPrefix(got, "error -32002") {
		t.Errorf("before initialize: %s", got)
	}
	var result struct{ Capabilities map[string]any }
	if got := c.call("initialize", map[string]any{"processId": nil}, &result); got != "" || result.Capabilities["positionEncoding"] != "utf-16" {
		t.Errorf("initialize: %s %v", got, result)
	}
	c.notify("initialized", map[string]any{})
	for method, want := range map[string]string{
		"textDocument/fly":        "error -32601",
		"textDocument/completion": `error -32602: document "" is not open`,
	} {
		if got := c.call(method, placeParams{}, nil); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s", method, got)
		}
	}
	if got := c.call("textDocument/hover", []int{1}, nil); !strings.HasPrefix(got, "error -32602") {
		t.Errorf("bad parameters: %s", got)
	}
	if _, err := fmt.Fprintf(c.in, "Content-Length: 2\r\n\r\n{]"); err != nil {
		t.Fatal(err)
	}
	if m := c.read(func(m map[string]json.RawMessage) bool { return m["error"] != nil }); !strings.Contains(string(m["error"]), "-32700") {
		t.Errorf("bad JSON: %s", m["error"])
	}
	c.stop()
}

func TestAClientThatGoesAwayIsAnError(t *testing.T) {
	c := start(t)
	if err := c.in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-c.done; !errors.Is(err, ErrGone) {
		t.Errorf("got %v", err)
	}
}

// TestIncrementalChanges edits a document of characters of one to four bytes
// and compares with the same edits of its UTF-16 units.
func TestIncrementalChanges(t *testing.T) {
	c := start(t)
	c.call("initialize", map[string]any{}, nil)
	c.notify("textDocument/didOpen", map[string]any{"textDocument": map[string]any{"uri": uri, "version": 1, "text": "rule 夜\n  when card == \"😀x\"\n  then deny\n"}})
	if found := c.diagnostics(); len(found) != 0 {
		t.Fatalf("diagnostics %v", found)
	}
	change := func(version int, changes ...map[string]any) []diagnostic {
		c.notify("textDocument/didChange", map[string]any{
			"textDocument": map[string]any{"uri": uri, "version": version}, "contentChanges": changes,
		})
		return c.diagnostics()
	}
	at := func(line, from, to int) span { return span{position{line, from}, position{line, to}} }
	if found := change(2, map[string]any{"range": at(1, 7, 11), "text": "crad"}); len(found) != 1 || found[0].Range != at(1, 7, 11) {
		t.Errorf("diagnostics %v", found)
	}
	// Behind the character of two units, then the name of three bytes.
	found := change(3, map[string]any{"range": at(1, 7, 11), "text": "card"}, map[string]any{"range": at(1, 18, 19), "text": "y"},
		map[string]any{"range": at(0, 5, 6), "text": "夜间"})
	if len(found) != 0 {
		t.Errorf("diagnostics %v", found)
	}
	var edits []textEdit
	c.call("textDocument/formatting", map[string]any{"textDocument": map[string]any{"uri": uri}}, &edits)
	if want := "rule 夜间 live\n  when card == \"😀y\"\n  then deny\n"; len(edits) != 1 || edits[0].NewText != want {
		t.Errorf("formatted %+v", edits)
	}
	if found := change(4, map[string]any{"text": "rule a when x"}); len(found) != 1 {
		t.Errorf("diagnostics %v", found)
	}
	c.stop()
}
