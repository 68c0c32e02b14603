package intake

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/backlot-video/backlot/services/recommender/internal/shelf"
)

func TestImportMayBeRepeated(t *testing.T) {
	f := open(t)
	var text strings.Builder
	text.WriteString("viewer_id,video_id,viewed_at\n")
	for v := range 30 {
		for i := range 50 {
			fmt.Fprintf(&text, "viewer%d,video%02d,%d\n", v, i, 1_700_000_000+i)
		}
	}
	for range 2 {
		n, err := Import(t.Context(), f.DB, "main", strings.NewReader(text.String()))
		if err != nil || n != 1500 {
			t.Fatalf("imported %d lines, %v", n, err)
		}
	}
	videos, err := f.store.Catalogue(t.Context(), "main")
	if err != nil || len(videos) != 50 || videos[7] != (shelf.Video{ID: "video07", Available: true, Viewers: 30}) {
		t.Errorf("catalogue is %v, %v", videos, err)
	}
	history, err := f.store.History(t.Context(), "main", "viewer3", 2)
	if err != nil || !slices.Equal(history, []string{"video49", "video48"}) {
		t.Errorf("history is %v, %v", history, err)
	}
}

func TestImportTellsTheLine(t *testing.T) {
	f := open(t)
	for text, want := range map[string]string{
		"a,x\nb\n":           "line 2: 1 fields",
		"a,x\nb,y,z\n":       "line 2: time \"z\"",
		"a,x\n\n,y\n":        "line 3: an id of 0 bytes",
		"a,x,1,2\n":          "line 1: 4 fields",
		"a,x\n\"b,y\n":       "line 2",
		"a,x,99999999999999": "line 1: time",
	} {
		_, err := Import(t.Context(), f.DB, "main", strings.NewReader(text))
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

func FuzzReadBatch(f *testing.F) {
	f.Add("viewer_id,video_id\na,x,5\nb,y\n")
	f.Add("\"a\n\",x")
	f.Add(",,\n\xff,x,-1")
	f.Fuzz(func(t *testing.T, text string) {
		reader := csv.NewReader(strings.NewReader(text))
		reader.FieldsPerRecord, reader.ReuseRecord = -1, true
		batch, err := readBatch(reader)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, ErrFormat) {
			t.Fatalf("unexpected error: %v", err)
		}
		for _, r := range batch {
			for _, id := range []string{r.viewer, r.view.VideoID} {
				if id == "" || len(id) > longestID || !utf8.ValidString(id) || strings.ContainsRune(id, 0) {
					t.Fatalf("id %q", id)
				}
			}
		}
	})
}
