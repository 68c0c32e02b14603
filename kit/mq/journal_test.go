package mq_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/backlot-video/backlot/kit/mq"
)

func TestJournalsAreReadAgainInOrder(t *testing.T) {
	_, client := broker(t)
	if _, err := client.Journal(t.Context(), mq.JournalConfig{Name: "Not A Name"}); err == nil {
		t.Error("a bad name was accepted")
	}
	journal, err := client.Journal(t.Context(), mq.JournalConfig{Name: "test_journal"})
	if err != nil {
		t.Fatal(err)
	}
	read := func(from uint64) (texts []string) {
		t.Helper()
		err := journal.Read(t.Context(), from, func(e mq.Entry) error {
			texts = append(texts, fmt.Sprint(e.Sequence, string(e.Data)))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return texts
	}
	if got := read(1); len(got) != 0 {
		t.Errorf("an empty journal has %v", got)
	}
	for i := range 3 {
		for range 2 { // the second one is a repetition
			sequence, err := journal.Append(t.Context(), fmt.Sprint("id", i), []byte{'a' + byte(i)})
			if err != nil || sequence != uint64(i+1) {
				t.Fatalf("append %d: sequence %d, %v", i, sequence, err)
			}
		}
	}
	if again, err := client.Journal(t.Context(), mq.JournalConfig{Name: "test_journal"}); err != nil {
		t.Error(err)
	} else if first, last, err := again.Bounds(t.Context()); first != 1 || last != 3 || err != nil {
		t.Errorf("bounds %d, %d, %v", first, last, err)
	}
	if got := fmt.Sprint(read(0), read(3), read(4)); got != "[[1a 2b 3c] [3c] []]" && got != "[1a 2b 3c] [3c] []" {
		t.Errorf("read %s", got)
	}
	broken := errors.New("broken")
	if err := journal.Read(t.Context(), 1, func(mq.Entry) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan uint64, 8)
	stop := background(t, func(context.Context) error {
		return journal.Follow(ctx, 2, func(e mq.Entry) error { seen <- e.Sequence; return nil })
	})
	for want := uint64(2); want <= 4; want++ {
		if want == 4 {
			if _, err := journal.Append(t.Context(), "late", nil); err != nil {
				t.Fatal(err)
			}
		}
		if got := <-seen; got != want {
			t.Errorf("followed %d, want %d", got, want)
		}
	}
	cancel()
	stop()
}
