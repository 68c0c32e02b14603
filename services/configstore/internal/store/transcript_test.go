package store_test

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

var update = flag.Bool("update", false, "write what the transcripts in testdata should be")

// TestTranscripts runs testdata/*.txt: blocks of commands, a line of dashes,
// and what the store answers. Revisions are counted from the start of the
// transcript: r1 is that of the first write.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s, _ := open(t, t.TempDir())
			player := &player{t: t, store: s, base: s.Hub().Revision(), releases: map[string]string{}}
			got := player.play(string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got != string(want) && !*update {
				t.Errorf("transcript differs (-update writes it):\n%s", got)
			}
		})
	}
}

// player answers commands:
//
//	put KIND NAME SPEC-IN-JSON [expect=REVISION]   part of a release
//	delete KIND NAME [expect=REVISION]             part of a release
//	apply | check                                  writes the release so far, or only checks it
//	list KIND [NAMESPACE] | get KIND NAME | releases
//	watch KIND rN                                  all events since
type player struct {
	t        *testing.T
	store    *store.Store
	base     int64
	pending  []*configstorev1.Change
	releases map[string]string // id to a name that does not vary
	out      strings.Builder
}

func (p *player) play(transcript string) string {
	answers := false
	lines := bufio.NewScanner(strings.NewReader(transcript))
	for lines.Scan() {
		line := lines.Text()
		switch {
		case line == "----":
			answers = true
		case line == "":
			p.out.WriteString("\n")
			answers = false
		case answers: // what was answered when the transcript was written
		case strings.HasPrefix(line, "#"):
			p.out.WriteString(line + "\n")
		default:
			p.out.WriteString(line + "\n")
			if answer := p.do(line); answer != "" {
				p.out.WriteString("----\n" + answer)
			}
		}
	}
	return p.out.String()
}

func (p *player) do(line string) string {
	words := strings.Fields(line)
	ctx := p.t.Context()
	switch words[0] {
	case "put", "delete":
		p.pending = append(p.pending, p.change(words))
		return ""
	case "apply", "check":
		result, err := p.store.Apply(ctx, store.Request{
			Tenant: tenant, Author: "operator/ann", Reason: "because", Changes: p.pending, DryRun: words[0] == "check",
		})
		p.pending = nil
		return p.result(result, err)
	case "list":
		objects, revision, err := p.store.List(ctx, tenant, words[1], strings.Join(words[2:], ""))
		if err != nil {
			return p.failure(err)
		}
		return p.objects(objects, nil) + fmt.Sprintf("at %s\n", p.revision(revision))
	case "get":
		o, err := p.store.Get(ctx, p.key(words))
		return p.objects([]*configstorev1.Object{o}, err)
	case "releases":
		return p.history(ctx)
	case "watch":
		return p.watch(ctx, words)
	}
	p.t.Fatalf("unknown command %q", line)
	return ""
}

// key reads KIND [NAMESPACE/]NAME.
func (p *player) key(words []string) object.Key {
	namespace, name, found := strings.Cut(words[2], "/")
	if !found {
		namespace, name = "", words[2]
	}
	return object.Key{Tenant: tenant, Kind: words[1], Namespace: namespace, Name: name}
}

func (p *player) change(words []string) *configstorev1.Change {
	change := new(configstorev1.Change)
	if text, found := strings.CutPrefix(words[len(words)-1], "expect="); found {
		words = words[:len(words)-1]
		change.ExpectedRevision = p.parse(text)
	}
	key := p.key(words)
	named := &configstorev1.Key{Kind: key.Kind, Namespace: key.Namespace, Name: key.Name}
	if words[0] == "delete" {
		change.Change = &configstorev1.Change_Delete{Delete: named}
		return change
	}
	spec := new(anypb.Any)
	if err := protojson.Unmarshal([]byte(strings.Join(words[3:], " ")), spec); err != nil {
		p.t.Fatalf("%v: %v", words, err)
	}
	change.Change = &configstorev1.Change_Put{Put: &configstorev1.Object{Key: named, Spec: spec}}
	return change
}

func (p *player) parse(text string) int64 {
	if text == "none" {
		return -1
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(text, "r"), 10, 64)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.base + n
}

func (p *player) revision(revision int64) string {
	if revision == 0 {
		return "unwritten"
	}
	return fmt.Sprintf("r%d", revision-p.base)
}

func (p *player) release(id string) string {
	if id == "" {
		return "no release"
	}
	if _, known := p.releases[id]; !known {
		p.releases[id] = fmt.Sprintf("release %c", 'A'+len(p.releases))
	}
	return p.releases[id]
}

func (p *player) result(result store.Result, err error) string {
	if err != nil {
		return p.failure(err)
	}
	return fmt.Sprintf("%s at %s, %d written\n", p.release(result.Release.GetId()),
		p.revision(result.Release.GetRevision()), len(result.Release.GetKeys())) + p.objects(result.Objects, nil)
}

// failure prints each fault on a line of its own, with revisions counted from
// the start.
func (p *player) failure(err error) string {
	var faults object.Faults
	if !errors.As(err, &faults) {
		return fmt.Sprintf("error: %v\n", err)
	}
	var out strings.Builder
	for _, fault := range faults {
		words := strings.Fields(fault.Error())
		for n, word := range words {
			digits := strings.TrimSuffix(word, ";")
			if number, err := strconv.ParseInt(digits, 10, 64); err == nil {
				words[n] = p.revision(number) + word[len(digits):]
			}
		}
		fmt.Fprintf(&out, "error: %s\n", strings.Join(words, " "))
	}
	return out.String()
}

func (p *player) objects(objects []*configstorev1.Object, err error) string {
	if err != nil {
		return p.failure(err)
	}
	var out strings.Builder
	for _, o := range objects {
		fmt.Fprintf(&out, "  %s", keyText(o.GetKey()))
		if o.GetSpec() != nil {
			fmt.Fprintf(&out, " %s %s", p.revision(o.GetRevision()), p.release(o.GetReleaseId()))
		}
		out.WriteString("\n")
	}
	return out.String()
}

func keyText(key *configstorev1.Key) string {
	return object.Key{Kind: key.GetKind(), Namespace: key.GetNamespace(), Name: key.GetName()}.String()
}

func (p *player) history(ctx context.Context) string {
	releases, _, err := p.store.Releases(ctx, tenant, "", 100)
	if err != nil {
		return p.failure(err)
	}
	var out strings.Builder
	for _, r := range releases {
		fmt.Fprintf(&out, "%s at %s by %s, %s:", p.release(r.GetId()), p.revision(r.GetRevision()), r.GetAuthor(), r.GetReason())
		for _, key := range r.GetKeys() {
			fmt.Fprintf(&out, " [%s]", keyText(key))
		}
		out.WriteString("\n")
	}
	return out.String()
}

// watch prints what a subscriber is given at once.
func (p *player) watch(ctx context.Context, words []string) string {
	newest, _, err := p.store.Releases(ctx, tenant, "", 1)
	if err != nil {
		return p.failure(err)
	}
	sub, err := p.store.Subscribe(ctx, tenant, words[1], "", p.parse(words[2]))
	if err != nil {
		return p.failure(err)
	}
	defer sub.Close()
	var out strings.Builder
	for reached := int64(0); len(newest) > 0 && reached < newest[0].GetRevision(); {
		batch, err := sub.Next()
		if err != nil {
			return p.failure(err)
		}
		reached = batch.Revision
		for _, event := range batch.Events {
			o := event.GetObject()
			fmt.Fprintf(&out, "  %s %s %s %s\n", strings.ToLower(strings.TrimPrefix(event.GetType().String(), "TYPE_")),
				keyText(o.GetKey()), p.revision(o.GetRevision()), p.release(o.GetReleaseId()))
		}
	}
	return out.String()
}
