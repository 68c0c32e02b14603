package process

import "testing"

func FuzzRecord(f *testing.F) {
	f.Add([]byte(`{"pid":12,"birth":"b/1","tool":"ffmpeg"}`))
	f.Add([]byte(`{"pid":1,"birth":""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, valid := decode(data)
		if valid && (rec.PID <= 1 || rec.Birth == "") {
			t.Errorf("accepted %+v", rec)
		}
	})
}
