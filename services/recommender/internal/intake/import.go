package intake

import (
	"context"
	"database/sql"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/backlot-video/backlot/kit/database"

	"github.com/backlot-video/backlot/services/recommender/internal/store"
)

// ErrFormat tells that a CSV file is not one of views.
var ErrFormat = errors.New("not a file of views")

const (
	importBatch = 1000 // lines in one transaction
	longestID   = 128  // bytes
)

// Import records the views of a CSV file: viewer, video and, where known,
// the Unix time in seconds. A first line `viewer_id,...` is a heading. It
// returns the number of lines. What the store knows stays as it is, so that
// a file may be imported again; lines before a fault stay imported.
func Import(ctx context.Context, db *database.DB, tenant string, file io.Reader) (lines int, err error) {
	reader := csv.NewReader(file)
	reader.FieldsPerRecord, reader.ReuseRecord = -1, true
	for {
		batch, readErr := readBatch(reader)
		err := db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
			for _, row := range batch {
				if err := store.ImportView(ctx, tx, tenant, row.viewer, row.view); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return lines, err
		}
		lines += len(batch)
		if errors.Is(readErr, io.EOF) {
			return lines, nil
		}
		if readErr != nil {
			return lines, readErr
		}
	}
}

type row struct {
	viewer string
	view   store.View
}

// readBatch returns io.EOF with the last rows.
func readBatch(reader *csv.Reader) (batch []row, err error) {
	for len(batch) < importBatch {
		fields, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return batch, io.EOF
		}
		if err != nil {
			return batch, fmt.Errorf("%w: %w", ErrFormat, err)
		}
		line, _ := reader.FieldPos(0)
		if line == 1 && fields[0] == "viewer_id" {
			continue
		}
		parsed, err := parse(fields)
		if err != nil {
			return batch, fmt.Errorf("%w: line %d: %w", ErrFormat, line, err)
		}
		batch = append(batch, parsed)
	}
	return batch, nil
}

func parse(fields []string) (row, error) {
	if len(fields) < 2 || len(fields) > 3 {
		return row{}, fmt.Errorf("%d fields, want viewer, video and perhaps time", len(fields))
	}
	for _, id := range fields[:2] {
		if id == "" || len(id) > longestID || !utf8.ValidString(id) || strings.ContainsRune(id, 0) {
			return row{}, fmt.Errorf("an id of %d bytes, want 1 to %d of UTF-8", len(id), longestID)
		}
	}
	var at int64
	if len(fields) == 3 {
		var err error
		if at, err = strconv.ParseInt(fields[2], 10, 64); err != nil || at < 0 || at > math.MaxInt64/1_000_000 {
			return row{}, fmt.Errorf("time %q is not in Unix seconds", fields[2])
		}
	}
	return row{viewer: fields[0], view: store.View{VideoID: fields[1], ViewedAt: time.Unix(at, 0)}}, nil
}
