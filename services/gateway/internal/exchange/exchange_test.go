package exchange

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestEveryKnownNameIsFoundInAnyLetters(t *testing.T) {
	for id := Accept; id < names; id++ {
		for _, spelling := range []string{id.String(), strings.ToLower(id.String()), strings.ToUpper(id.String())} {
			if found := NameOf([]byte(spelling)); found != id {
				t.Errorf("NameOf(%q) = %d, want %d", spelling, found, id)
			}
		}
	}
	for _, unknown := range []string{"", "X", "X-Request-Ie", strings.Repeat("a", 300)} {
		if found := NameOf([]byte(unknown)); found != Other {
			t.Errorf("NameOf(%q) = %d, want Other", unknown, found)
		}
	}
}

func TestSetReplacesEveryLine(t *testing.T) {
	var fields Fields
	fields.Add(XRequestID, []byte("x-request-id"), []byte("a"))
	fields.Add(Other, []byte("x-other"), []byte("b"))
	fields.Add(XRequestID, []byte("X-REQUEST-ID"), []byte("c"))
	fields.Set(XRequestID, []byte("d"))
	if got := fields.Get(XRequestID); string(got) != "d" {
		t.Errorf("value is %q, want d", got)
	}
	left := 0
	for _, field := range fields {
		if field.ID != Removed {
			left++
		}
	}
	if left != 2 {
		t.Errorf("%d lines are left, want 2", left)
	}
	if fields.RemoveName("X-OTHER"); fields.Has(Other) {
		t.Error("a removed line is still there")
	}
}

func TestRemoveAllMarksTheNamesOfASetAlone(t *testing.T) {
	var fields Fields
	for id := Other; id < names; id++ {
		fields.Add(id, []byte(id.String()), nil)
	}
	fields.RemoveAll(SetOf(Accept, XRequestID, Date))
	for i, field := range fields {
		id := Name(i)
		want := id
		if id == Accept || id == XRequestID || id == Date {
			want = Removed
		}
		if field.ID != want {
			t.Errorf("line %d is %d, want %d", i, field.ID, want)
		}
	}
}

func TestJoinedIsEveryLine(t *testing.T) {
	var fields Fields
	fields.Add(Other, []byte("x-b"), []byte("1"))
	fields.Add(Other, []byte("X-A"), []byte("2"))
	fields.Add(Other, []byte("X-B"), []byte("3"))
	fields.Add(Other, []byte("x-B"), []byte("4"))
	for name, want := range map[string]string{"x-a": "2", "X-b": "1,3,4", "x-c": ""} {
		if got, found := fields.Joined(name); string(got) != want || found != (want != "") {
			t.Errorf("%s is %q, %v, want %q", name, got, found, want)
		}
	}
	fields.RemoveName("x-b")
	if got, found := fields.Joined("x-b"); found || got != nil {
		t.Errorf("a removed field is %q", got)
	}
}

func TestArenaKeepsWhatItHandedOut(t *testing.T) {
	var arena Arena
	first := arena.CopyString("first")
	second := arena.Join([]byte("sec"), []byte("ond"))
	big := arena.Make(4 << 10)
	for i := range big {
		big[i] = 'x'
	}
	_ = append(first, "overrun"...)
	if string(first) != "first" || string(second) != "second" || string(arena.Int(-42)) != "-42" {
		t.Errorf("arena gives %q, %q", first, second)
	}
}

func TestResetForgetsTheRequestButNotTheClient(t *testing.T) {
	x := &Exchange{Attempts: 3}
	x.Request.Fields.Add(Host, nil, nil)
	x.Refuse(404, "not_found", `no "route"`, "no_route")
	if string(x.Answer) != `{"code":"not_found","message":"no \"route\""}` || x.Response.Length != int64(len(x.Answer)) {
		t.Errorf("answer is %s", x.Answer)
	}
	x.Reset()
	if x.Attempts != 0 || len(x.Request.Fields) != 0 || x.Fault != "" || x.Answer != nil {
		t.Errorf("something is left: %+v", x)
	}
}

func TestRefusingAllocatesNothing(t *testing.T) {
	x := &Exchange{}
	refuse := func() {
		x.Reset()
		x.Refuse(429, "resource_exhausted", "too many requests; try again later", "rate_limit")
	}
	refuse()
	if n := testing.AllocsPerRun(100, refuse); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzQuoted: a text is what the standard library reads back, but for what is
// not UTF-8.
func FuzzQuoted(f *testing.F) {
	for _, seed := range []string{"", "plain", `"\`, "\x00\n\t\r\x1f\x7f", "\u2028 <&>", "\xff\xc3(", "日本"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		quoted := AppendQuoted(nil, text)
		var got string
		if err := json.Unmarshal(quoted, &got); err != nil {
			t.Fatalf("%q: %v", quoted, err)
		}
		if want := string([]rune(text)); got != want {
			t.Errorf("%q is read back as %q", text, got)
		}
		if string(AppendQuoted(nil, []byte(text))) != string(quoted) {
			t.Error("bytes are written in another way")
		}
	})
}
