package syntax

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// addTranscripts seeds a fuzzer with the sources of the transcripts.
func addTranscripts(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob("../../testdata/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for section := range strings.SplitSeq(string(text), "-- ") {
			if source, ok := strings.CutPrefix(section, "rules --\n"); ok {
				f.Add(source)
			}
		}
	}
}

// FuzzLexer wants tokens in order that leave out nothing but spaces and
// comments.
func FuzzLexer(f *testing.F) {
	addTranscripts(f)
	for _, seed := range []string{"\uFEFFrule", "::1/128", "1.2.3.4/99", "2026-01-01T00:00Z", "`x", "matches /a\\/b/", "\"\\u{10ffff}\"", "1h30", "中文 1_000.5 CNY", "\xff\xfe", "@", "1__0", "9d9"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, src string) {
		l := &lexer{src: src}
		for end := 0; ; {
			var tok token
			l.next(&tok)
			start := int(tok.span.Start)
			if start < end || int(tok.span.End) < start || int(tok.span.End) > len(src) {
				t.Fatalf("token %+v after offset %d of %d", tok, end, len(src))
			}
			if l.fault.Message == "" && !blank(src[end:start]) {
				t.Fatalf("%q was left out", src[end:start])
			}
			if l.fault.Message != "" {
				if l.fault.Span.Start < 0 || int(l.fault.Span.End) > len(src) {
					t.Fatalf("fault %+v of %d bytes", l.fault, len(src))
				}
				l.fault = Fault{}
				l.pos = min(max(l.pos+1, int(tok.span.End)), len(src))
				end = l.pos
				continue
			}
			if tok.kind == tokEnd {
				return
			}
			if int(tok.span.End) == start || l.pos < int(tok.span.End) {
				t.Fatalf("no progress at %d: %+v", start, tok)
			}
			end = int(tok.span.End)
		}
	})
}

// blank tells whether a part of a source has only spaces and comments.
func blank(part string) bool {
	for line := range strings.SplitSeq(strings.TrimPrefix(part, "\uFEFF"), "\n") {
		code, _, _ := strings.Cut(line, "#")
		if strings.Trim(code, " \t\r") != "" {
			return false
		}
	}
	return true
}

// FuzzChinese wants a source printed with Chinese keywords to mean the same.
func FuzzChinese(f *testing.F) {
	addTranscripts(f)
	f.Fuzz(func(t *testing.T, src string) {
		file, faults := Parse(src)
		if len(faults) > 0 {
			return
		}
		chinese := Format(file, Chinese)
		again, faults := Parse(chinese)
		if len(faults) > 0 {
			t.Fatalf("the Chinese form has faults %+v\n%s", faults, chinese)
		}
		if got, want := Format(again, English), Format(file, English); got != want {
			t.Fatalf("by way of Chinese\n%s\n---\n%s", got, want)
		}
	})
}
