package process

import (
	"testing"
	"time"
)

func TestProgressIsReadAcrossWrites(t *testing.T) {
	var got []Progress
	r := &progressReader{report: func(p Progress) { got = append(got, p) }}
	for _, part := range []string{
		"frame=10\nfps=0.0\nout_time_u", "s=2000000\r\ntotal_size=N/A\nspeed=1.5x\nprogress=cont", "inue\n",
		"frame=-3\nout_time_us=N/A\nspeed=N/A\ntotal_size=77\nprogress=end",
	} {
		if n, err := r.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("write: %d, %v", n, err)
		}
	}
	if len(got) != 1 {
		t.Fatalf("got %d reports before the last line's end", len(got))
	}
	_, _ = r.Write([]byte("\nprogress=end\n"))
	if want := (Progress{Frame: 10, OutTime: 2 * time.Second, Speed: 1.5}); got[0] != want {
		t.Errorf("got %+v, want %+v", got[0], want)
	}
}

func FuzzProgress(f *testing.F) {
	f.Add([]byte("frame=1\nout_time_us=5\nspeed=2x\nprogress=end\n"))
	f.Add([]byte("speed=NaNx\nout_time_us=9223372036854775807\nprogress=continue\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r := &progressReader{report: func(p Progress) {
			if p.Frame < 0 || p.OutTime < 0 || p.TotalSize < 0 || !(p.Speed >= 0) {
				t.Errorf("negative report %+v", p)
			}
		}}
		if n, err := r.Write(data); n != len(data) || err != nil {
			t.Errorf("write: %d, %v", n, err)
		}
		if len(r.line) > maxProgressLine {
			t.Errorf("kept %d bytes of a line", len(r.line))
		}
	})
}
