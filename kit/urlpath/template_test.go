package urlpath_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/kit/urlpath"
)

func TestTemplateSurvivesItsRegexp(t *testing.T) {
	for _, text := range []string{"/", "/a", "/{a}", "/{a...}", "/videos/{id}/parts/{rest...}", "/a.b/c+d(e)/{x_1}", "/a[^", "//x", `/a\b/{c}`, "/[^/]/x"} {
		parsed, err := urlpath.Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		expression := parsed.Regexp()
		if _, err := regexp.Compile(expression); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		back, err := urlpath.FromRegexp(expression)
		if err != nil || back.String() != text {
			t.Errorf("%s: %s gives %q, %v", text, expression, back.String(), err)
		}
	}
}

func TestBadTemplatesAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"a":                      "does not begin with /",
		"/{a}/{a}":               "captures {a} twice",
		"/{a...}/b":              "{a...} is not the last segment",
		"/x{a}":                  "neither text",
		"/{a":                    "neither text",
		"/{1}":                   "neither text",
		"/{}":                    "neither text",
		"/a}":                    "neither text",
		strings.Repeat("/a", 33): "has 33 segments, at most 32",
		"/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}": "captures 10 names, at most 9",
	} {
		if _, err := urlpath.Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	for _, expression := range []string{"", "^/a", "/a$", "^/(a)$", "^/a.b$", "^/(?P<a>[a-z]+)$", "^/(?P<a>.*)/b$", "^/a|/b$"} {
		if _, err := urlpath.FromRegexp(expression); err == nil {
			t.Errorf("%s is taken for a template's", expression)
		}
	}
}

func TestRewrites(t *testing.T) {
	parsed, err := urlpath.Parse("/{a}/{b...}")
	if err != nil {
		t.Fatal(err)
	}
	for rewrite, substitution := range map[string]string{"/x": "/x", "/{b}/{a}": `/\2/\1`, `/\1/{a}`: `/\\1/\1`} {
		if err := parsed.CheckRewrite(rewrite); err != nil {
			t.Errorf("%s: %v", rewrite, err)
		}
		if got := parsed.Substitution(rewrite); got != substitution {
			t.Errorf("%s: %s, want %s", rewrite, got, substitution)
		}
		if back, err := parsed.FromSubstitution(substitution); err != nil || back != rewrite {
			t.Errorf("%s: back is %q, %v", rewrite, back, err)
		}
	}
	for rewrite, want := range map[string]string{
		"x": "does not begin", "/{c}": "not captured", "/{a": "not captured", "/a}": "} without {", "/.{b}": "must not hold", "/{a}../..": "must not hold",
	} {
		if err := parsed.CheckRewrite(rewrite); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", rewrite, err, want)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"/a/{b}/{c...}", "/(?P<", "/[^/]", `/\`, "/{a}{b}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := urlpath.Parse(text)
		if err != nil {
			return
		}
		back, err := urlpath.FromRegexp(parsed.Regexp())
		if err != nil || back.String() != text {
			t.Fatalf("%q: %s gives %q, %v", text, parsed.Regexp(), back.String(), err)
		}
	})
}
