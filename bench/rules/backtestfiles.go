package rules

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/parquet-go/parquet-go"

	"github.com/backlot-video/backlot/bench/internal/measure"
)

const (
	fileEvents = 1_000_000
	fileTimes  = 5 // the file is named so often
)

// payment is a recorded event of backlot.rules.v1.PaymentFact.
type payment struct {
	Amount     amount `json:"amount" parquet:"amount"`
	ViewerID   string `json:"viewer_id" parquet:"viewer_id"`
	Card       string `json:"card" parquet:"card"`
	IP         string `json:"ip" parquet:"ip"`
	Country    string `json:"country" parquet:"country,dict"`
	At         int64  `json:"at" parquet:"at"`
	AccountAge int64  `json:"account_age" parquet:"account_age"`
	PaidOrders int64  `json:"paid_orders" parquet:"paid_orders"`
}

type amount struct {
	Minor    int64  `json:"minor" parquet:"minor"`
	Currency string `json:"currency" parquet:"currency,dict"`
}

const (
	fileLive  = "rule four when amount > 500.00 CNY and account_age < 30d and paid_orders < 5 and country in [\"CN\", \"SG\"] then review score 40\n"
	fileDraft = "rule four when amount > 400.00 CNY and account_age < 30d and paid_orders < 5 and country in [\"CN\", \"SG\"] then review score 40\n"
)

// backtestFiles runs `rules backtest` over five million events in files.
func backtestFiles() ([]measure.Extra, error) {
	dir, err := os.MkdirTemp("", "backtest")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	tool := filepath.Join(dir, "rules")
	if out, err := exec.CommandContext(context.Background(), "go", "build", "-o", tool, "github.com/backlot-video/backlot/services/rules/cmd/rules").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the tool: %w: %s", err, out)
	}
	for name, text := range map[string]string{"live.rules": fileLive, "draft.rules": fileDraft} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	if err := writePayments(dir); err != nil {
		return nil, err
	}
	extra := []measure.Extra{{Name: "file_events", Value: fileEvents * fileTimes}}
	changed := int64(-1)
	for _, format := range []string{"jsonl", "parquet"} {
		args := []string{"backtest", "--json", filepath.Join(dir, "draft.rules"), "--against", filepath.Join(dir, "live.rules")}
		for range fileTimes {
			args = append(args, filepath.Join(dir, "events."+format))
		}
		command := exec.CommandContext(context.Background(), tool, args...)
		var out, progress bytes.Buffer
		command.Stdout, command.Stderr = &out, &progress
		began := time.Now()
		if err := command.Run(); err != nil {
			return nil, fmt.Errorf("backtest of %s: %w: %s", format, err, progress.Bytes())
		}
		wall := time.Since(began)
		var result struct {
			Events  int64
			Changed struct{ Events int64 }
		}
		if err := json.Unmarshal(out.Bytes(), &result); err != nil {
			return nil, err
		}
		if result.Events != fileEvents*fileTimes || changed >= 0 && result.Changed.Events != changed {
			return nil, fmt.Errorf("backtest of %s: %d events, %d changed, as lines %d", format, result.Events, result.Changed.Events, changed)
		}
		changed = result.Changed.Events
		cpu := command.ProcessState.UserTime() + command.ProcessState.SystemTime()
		extra = append(extra,
			measure.Extra{Name: format + "_wall_s", Value: wall.Seconds()},
			measure.Extra{Name: format + "_cpu_s", Value: cpu.Seconds()},
			measure.Extra{Name: format + "_mb", Value: fileSize(filepath.Join(dir, "events."+format)) * fileTimes})
	}
	return extra, nil
}

// fileSize is a size in MB.
func fileSize(path string) float64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return float64(info.Size()) / 1e6
}

func writePayments(dir string) error {
	lines, err := os.Create(filepath.Join(dir, "events.jsonl"))
	if err != nil {
		return err
	}
	columns, err := os.Create(filepath.Join(dir, "events.parquet"))
	if err != nil {
		return errors.Join(err, lines.Close())
	}
	buffered := bufio.NewWriterSize(lines, 1<<20)
	encoder := json.NewEncoder(buffered)
	writer := parquet.NewGenericWriter[payment](columns, parquet.MaxRowsPerRowGroup(100_000), parquet.Compression(&parquet.Snappy))
	events := Events(100_000, 5)
	rows := make([]payment, 1)
	for i := range fileEvents {
		e := &events[i%len(events)]
		rows[0] = payment{
			Amount: amount{int64(e.Amount), "CNY"}, ViewerID: e.Device, Card: e.Card, IP: e.IP.String(), Country: e.Billing.Country,
			At: int64(e.At) + int64(i), AccountAge: int64(e.AccountAge), PaidOrders: int64(e.PaidOrders),
		}
		if err := encoder.Encode(&rows[0]); err != nil {
			return err
		}
		if _, err := writer.Write(rows); err != nil {
			return err
		}
	}
	return errors.Join(buffered.Flush(), lines.Close(), writer.Close(), columns.Close())
}
