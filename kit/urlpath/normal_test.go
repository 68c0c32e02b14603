package urlpath_test

import (
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/backlot-video/backlot/kit/urlpath"
)

func TestNormal(t *testing.T) {
	for from, want := range map[string]string{
		"/":                "/",
		"/a/b":             "/a/b",
		"/a/":              "/a/",
		"//a///b//":        "/a/b/",
		"/a/./b":           "/a/b",
		"/a/.":             "/a/",
		"/a/..":            "/",
		"/a/../b":          "/b",
		"/a/b/../../c":     "/c",
		"/%61%2Dz":         "/a-z",
		"/%2e%2E/a":        "", // leads above the root
		"/a/%2e%2E/b":      "/b",
		"/a%2fb":           "/a%2Fb",
		"/a%5cb":           "/a%5Cb",
		"/a%20b%3f":        "/a%20b%3F",
		"/..":              "",
		"/a/../..":         "",
		"/a/..%2fb":        "",
		"/a/..%5Cb":        "",
		"/a/..\\b":         "",
		"/a/%252e%252e/b":  "",
		"/a/%25252e%252e":  "",
		"/a/..;x/b":        "",
		"/a/..%3bx/b":      "",
		"/a/%2e%2e;/b":     "",
		"/a;x/b":           "/a;x/b",
		"/a/.;/b":          "",
		"/a\\b":            "/a\\b",
		"/a%00":            "",
		"/a%0a":            "",
		"/a\x01":           "",
		"/a%":              "",
		"/a%4":             "",
		"/a%zz":            "",
		"/.well-known/x":   "/.well-known/x",
		"/a/...":           "/a/...",
		"/a/..b/b..":       "/a/..b/b..",
		"/a%2Fb/../c":      "/c",
		"/caf\xc3\xa9":     "/caf\xc3\xa9",
		"/100%25":          "/100%25",
		"":                 "",
		"a":                "",
		"*":                "",
		"/a/%2F../b":       "",
		"/a/%2F/b":         "/a/%2F/b",
		"/x/%2e%2e%2fy":    "",
		"/x/%252e%252e%2f": "",
	} {
		got, ok := urlpath.Normal(nil, []byte(from))
		if !ok {
			got = nil
		}
		if string(got) != want || ok != (want != "") {
			t.Errorf("%q: %q, %v, want %q", from, got, ok, want)
		}
	}
}

// FuzzNormal: what passes has no dot segment for any reader, is normal itself,
// and is what the standard library makes of plain paths.
func FuzzNormal(f *testing.F) {
	for _, seed := range []string{"/a/%2e%2e/b", "//a/./b/..", "/a%2fb", "/..%2f", "/a\\..\\b", "/%25252e", "/.;/", "/a/b/"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, from []byte) {
		got, ok := urlpath.Normal(nil, from)
		if !ok {
			return
		}
		again, ok := urlpath.Normal(nil, got)
		if !ok || string(again) != string(got) {
			t.Fatalf("%q became %q, and that %q, %v", from, got, again, ok)
		}
		for read, rounds := string(got), 0; rounds < 5; rounds++ {
			for _, segment := range strings.FieldsFunc(read, func(r rune) bool { return r == '/' || r == '\\' }) {
				if segment == ".." || segment == "." {
					t.Fatalf("%q became %q, which reads as %q", from, got, read)
				}
			}
			decoded, err := url.PathUnescape(read)
			if err != nil {
				break
			}
			read = decoded
		}
		if plain := string(from); !strings.ContainsAny(plain, `%\;`) {
			want := path.Clean(plain)
			if want != "/" && (strings.HasSuffix(plain, "/") || strings.HasSuffix(plain, "/.") || strings.HasSuffix(plain, "/..")) {
				want += "/"
			}
			if string(got) != want {
				t.Fatalf("%q became %q, want %q", from, got, want)
			}
		}
	})
}

func TestNormalOfPlainPathsDoesNotCopy(t *testing.T) {
	plain := []byte("/videos/7/parts/segment-1.m4s")
	if n := testing.AllocsPerRun(100, func() {
		if got, ok := urlpath.Normal(nil, plain); !ok || &got[0] != &plain[0] {
			t.Fatal("copied")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
