package lsp

import (
	"bufio"
	"bytes"
	"io"
	"strings"
	"testing"
)

func FuzzFrames(f *testing.F) {
	f.Add([]byte("Content-Length: 2\r\n\r\n{}Content-Length: 0\r\n\r\n"))
	f.Add([]byte("content-length:3\nX: y\n\nabc"))
	f.Add([]byte("Content-Length: 99999999999\r\n\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bufio.NewReader(bytes.NewReader(data))
		total := 0
		for {
			body, err := readMessage(r)
			if err != nil {
				return
			}
			if total += len(body); total > len(data) {
				t.Fatal("more than was sent")
			}
		}
	})
}

// FuzzDocument opens any source and asks everything at any place of it.
func FuzzDocument(f *testing.F) {
	f.Add("rule a when any item in items (item.price > 1.00 CNY) then deny", 30)
	f.Add("rule a when channel == \"A", 24)
	f.Add("test \"t\" given { items: [{ price: 1", 35)
	f.Add("rule a when card in list @\nrule b", 26)
	f.Add("#\u4e2d\u6587", 3)
	resolve := config(f)
	f.Fuzz(func(t *testing.T, text string, offset int) {
		if len(text) > 10_000 {
			return
		}
		s := NewServer(resolve, strings.NewReader(""), io.Discard)
		open := &openParams{}
		open.TextDocument.URI, open.TextDocument.Text = uri, strings.ToValidUTF8(text, "?")
		if _, err := s.open(open); err != nil {
			t.Fatal(err)
		}
		d := s.documents[uri]
		place := d.position(offset)
		if back := d.position(d.offset(place)); back != place {
			t.Fatalf("%v becomes %v", place, back)
		}
		params := &placeParams{TextDocument: documentID{uri}, Position: place, NewName: "x"}
		for _, ask := range []func(*placeParams) (any, error){s.completion, s.hover, s.definition, s.references, s.prepareRename} {
			if _, err := ask(params); err != nil {
				t.Fatal(err)
			}
		}
		_, _ = s.rename(params)
		if err := s.publish(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.actions(&actionParams{documentID{uri}, span{place, place}}); err != nil {
			t.Fatal(err)
		}
	})
}
