package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// record is one child on disk, in a file named for its process id.
type record struct {
	PID   int    `json:"pid"`
	Birth string `json:"birth"` // tells a later process with the same id apart
	Tool  string `json:"tool"`
}

const (
	recordSuffix   = ".child"
	maxRecordBytes = 4096
)

type records struct {
	dir string
}

// note writes the record of a running child and returns what removes it.
func (r records) note(pid int, tool string) (forget func(), err error) {
	forget = func() {}
	b, err := birth(pid)
	if err != nil || b == "" {
		return forget, err
	}
	data, err := json.Marshal(record{PID: pid, Birth: b, Tool: tool})
	if err != nil {
		return forget, err
	}
	path := filepath.Join(r.dir, strconv.Itoa(pid)+recordSuffix)
	if err := os.WriteFile(path+".new", data, 0o600); err != nil {
		return forget, err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return forget, err
	}
	return func() { _ = os.Remove(path) }, nil
}

// sweep kills each recorded child that still runs, with its group, empties the
// folder and returns those that it killed.
func (r records) sweep() ([]record, error) {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return nil, err
	}
	var killed []record
	var faults []error
	for _, entry := range entries {
		path := filepath.Join(r.dir, entry.Name())
		if strings.HasSuffix(path, recordSuffix) {
			rec, alive, err := load(path)
			if err == nil && alive {
				err = killOrphan(rec.PID)
				killed = append(killed, rec)
			}
			if err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", entry.Name(), err))
				continue
			}
		}
		faults = append(faults, os.RemoveAll(path))
	}
	return killed, errors.Join(faults...)
}

// load reads a record and tells whether its very process still runs.
// A file that is no record names none.
func load(path string) (rec record, alive bool, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return rec, false, err
	}
	if rec, valid := decode(data); valid {
		now, err := birth(rec.PID)
		return rec, err == nil && now == rec.Birth, err
	}
	return record{}, false, nil
}

func decode(data []byte) (rec record, valid bool) {
	valid = len(data) <= maxRecordBytes && json.Unmarshal(data, &rec) == nil && rec.PID > 1 && rec.Birth != ""
	return rec, valid
}
