// Package folder feeds a catalog from the files of a folder, for use without
// a configstore: NAME.rules are rulesets, NAME.list named lists with an entry
// a line (and how they match in a comment, `# match: prefix`), NAME.binpb
// descriptor sets whose messages become fact types, default.rates exchange
// rates. Changed files are taken up while running; what is bad is refused as
// anywhere else.
//
// A ruleset names its fact type in a comment among its first lines,
// `# fact: shop.v1.OrderFact`.
package folder

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/backlot-video/backlot/services/rules/internal/catalog"
	"github.com/backlot-video/backlot/services/rules/list"
	"github.com/backlot-video/backlot/services/rules/rate"
)

const (
	maxFile = 64 << 20
	every   = 2 * time.Second
)

// Folder is a folder of rules. One goroutine may use it.
type Folder struct {
	Dir      string
	Catalog  *catalog.Catalog
	Log      *slog.Logger
	FactType string // of rulesets that name none
	Limits   list.Config

	seen map[string]stamp // by file name
}

type stamp struct {
	size     int64
	modified time.Time
}

// Sync takes up what changed since the last call. The error tells that the
// folder cannot be read; faults of single files are logged.
func (f *Folder) Sync() error {
	entries, err := os.ReadDir(f.Dir)
	if err != nil {
		return fmt.Errorf("rules.dir: %w", err)
	}
	found := map[string]stamp{}
	for _, kind := range []string{".binpb", ".list", ".rates", ".rules"} {
		for _, entry := range entries {
			info, err := entry.Info()
			if err != nil || !info.Mode().IsRegular() || filepath.Ext(entry.Name()) != kind {
				continue
			}
			now := stamp{info.Size(), info.ModTime()}
			found[entry.Name()] = now
			if f.seen[entry.Name()] != now {
				f.take(entry.Name())
			}
		}
	}
	for name := range f.seen {
		if _, still := found[name]; !still {
			f.drop(name)
		}
	}
	f.seen = found
	return nil
}

// Run syncs every two seconds until ctx ends.
func (f *Folder) Run(ctx context.Context) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := f.Sync(); err != nil {
				f.Log.Error("folder of rules cannot be read", "err", err)
			}
		}
	}
}

func split(file string) (name, kind string) {
	kind = filepath.Ext(file)
	return strings.TrimSuffix(file, kind), kind
}

// take gives a file's content to the catalog, which logs what it refuses.
func (f *Folder) take(file string) {
	name, kind := split(file)
	if kind == ".list" {
		f.list(name, file)
		return
	}
	raw, err := f.read(file)
	if err != nil {
		f.Log.Error("file cannot be read", "file", file, "err", err)
		return
	}
	switch kind {
	case ".rates":
		f.rates(file, raw)
	case ".binpb":
		if err := f.factTypes(raw); err != nil {
			f.Log.Error("descriptors refused", "file", file, "err", err)
		}
	default:
		sum := sha256.Sum256(raw)
		_ = f.Catalog.Put(catalog.Ruleset{
			Name: name, FactType: cmp.Or(FactType(raw), f.FactType), Source: string(raw), Version: hex.EncodeToString(sum[:6]),
		})
	}
}

// ratesFile is the table of exchange rates.
const ratesFile = "default.rates"

func (f *Folder) rates(file string, raw []byte) {
	if file != ratesFile {
		f.Log.Warn("only the rate table default.rates is used", "file", file)
		return
	}
	sum := sha256.Sum256(raw)
	version := hex.EncodeToString(sum[:6])
	_ = f.Catalog.PutRates(version, func() (*rate.Table, error) { return rate.Read(bytes.NewReader(raw), version) })
}

// list reads a list as a stream: it may be long.
func (f *Folder) list(name, file string) {
	start := time.Now()
	opened, err := os.Open(filepath.Join(f.Dir, file))
	if err != nil {
		f.Log.Error("file cannot be read", "file", file, "err", err)
		return
	}
	defer func() { _ = opened.Close() }()
	var size int64
	if info, err := opened.Stat(); err == nil {
		size = info.Size()
	}
	sum := sha256.New()
	built, err := list.Read(io.TeeReader(opened, sum), f.Limits, size)
	if err != nil {
		f.Catalog.RefuseList(name, "", fmt.Errorf("%s: %w", file, err))
		return
	}
	f.Catalog.SetList(name, hex.EncodeToString(sum.Sum(nil)[:6]), built, time.Since(start))
}

func (f *Folder) read(file string) ([]byte, error) {
	opened, err := os.Open(filepath.Join(f.Dir, file))
	if err != nil {
		return nil, err
	}
	defer func() { _ = opened.Close() }()
	raw, err := io.ReadAll(io.LimitReader(opened, maxFile+1))
	if err == nil && len(raw) > maxFile {
		return nil, fmt.Errorf("more than %d bytes", maxFile)
	}
	return raw, err
}

func (f *Folder) drop(file string) {
	switch name, kind := split(file); kind {
	case ".list":
		f.Catalog.DeleteList(name)
	case ".rates":
		if file == ratesFile {
			f.Catalog.DeleteRates()
		}
	case ".rules":
		f.Catalog.Delete(name)
	}
}

// FactType reads `# fact: NAME` from the comments at the head of a source. It
// is empty where they name none.
func FactType(raw []byte) string {
	for line := range bytes.Lines(raw) {
		comment, ok := strings.CutPrefix(string(bytes.TrimSpace(line)), "#")
		if !ok {
			break
		}
		if name, ok := strings.CutPrefix(strings.TrimSpace(comment), "fact:"); ok {
			return strings.TrimSpace(name)
		}
	}
	return ""
}

// factTypes makes the top-level messages of a descriptor set known, but for
// those of the protobuf library.
func (f *Folder) factTypes(raw []byte) error {
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(raw, set); err != nil {
		return err
	}
	for _, file := range set.GetFile() {
		if strings.HasPrefix(file.GetName(), "google/protobuf/") {
			continue
		}
		for _, message := range file.GetMessageType() {
			name := message.GetName()
			if file.GetPackage() != "" {
				name = file.GetPackage() + "." + name
			}
			if err := f.Catalog.PutFactType(name, set, 1); err != nil {
				return err
			}
		}
	}
	return nil
}
