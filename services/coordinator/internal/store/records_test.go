package store

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/backlot-video/backlot/services/coordinator/internal/tcc"
)

func TestRecordsAreReadBack(t *testing.T) {
	want := []tcc.Record{
		{Sequence: 1, Branch: 0, Phase: tcc.Try, Status: tcc.StatusStarted, Attempt: 1},
		{Sequence: 1 << 30, Branch: 63, Phase: tcc.Cancel, Status: tcc.StatusFailed, Attempt: 100, Problem: "no\x00 \xff answer"},
	}
	want = append(want, tcc.Record{Sequence: 3, Branch: tcc.Whole, Phase: tcc.Try, Status: tcc.StatusRegistered, Registered: &tcc.Branch{ID: "b", Action: "pay"}})
	data, err := encodeRecords(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := parseRecords(data); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := parseRecords(nil); err != nil || got != nil {
		t.Errorf("no bytes are %v, %v", got, err)
	}
	if _, err := parseRecords([]byte{recordsVersion + 1}); err == nil {
		t.Error("a later version was read")
	}
}

func FuzzParseRecords(f *testing.F) {
	for _, record := range []tcc.Record{
		{Sequence: 2, Phase: tcc.Try, Status: tcc.StatusRefused, Attempt: 1, Problem: "no"},
		{Sequence: 3, Phase: tcc.Try, Status: tcc.StatusRegistered, Registered: &tcc.Branch{ID: "b", Action: "pay"}},
	} {
		data, err := encodeRecords([]tcc.Record{record})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte{recordsVersion, 200})
	f.Add([]byte("\x01\x0f00010\x00\bB\x010B\x03000"))
	f.Fuzz(func(t *testing.T, data []byte) {
		records, err := parseRecords(data)
		if err != nil {
			return
		}
		written, err := encodeRecords(records)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseRecords(written)
		if err != nil || len(again) != len(records) {
			t.Fatalf("%q: %v came back as %v, %v", data, records, again, err)
		}
		for i := range again { // what a branch's message says beside a branch is not kept
			if again[i].Registered = records[i].Registered; !reflect.DeepEqual(again[i], records[i]) {
				t.Errorf("%q: %v came back as %v", data, records[i], again[i])
			}
		}
		if rewritten, err := encodeRecords(again); err != nil || !bytes.Equal(rewritten, written) {
			t.Errorf("%q: written as %q, then as %q, %v", data, written, rewritten, err)
		}
	})
}
