package listing

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/url"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/file"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
)

// The file of a last good version holds the SHA-256 of what follows, the
// version after its length, and the configuration object. The content of its
// parts lies in the part.Store.

var errNotGood = errors.New("last good version of a list is damaged")

func (l *Loader) goodPath(name string) string {
	return filepath.Join(l.config.Dir, url.QueryEscape(name)+".good")
}

// saveGood keeps a version that took force.
func (l *Loader) saveGood(name string, w wanted) {
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(w.spec)
	if err == nil {
		raw = append(protowire.AppendString(nil, w.version), raw...)
		sum := sha256.Sum256(raw)
		raw = append(sum[:], raw...)
		if kept, readErr := os.ReadFile(l.goodPath(name)); readErr == nil && string(kept) == string(raw) {
			return
		}
		err = file.Replace(l.goodPath(name), raw)
	}
	if err != nil {
		l.config.Log.Error("last good list cannot be saved", "list", name, "err", err)
	}
}

func (l *Loader) readGood(name string) (w wanted, err error) {
	raw, err := os.ReadFile(l.goodPath(name))
	if err != nil {
		return w, err
	}
	if len(raw) < sha256.Size || sha256.Sum256(raw[sha256.Size:]) != [sha256.Size]byte(raw[:sha256.Size]) {
		return w, errNotGood
	}
	version, n := protowire.ConsumeString(raw[sha256.Size:])
	if n < 0 {
		return w, errNotGood
	}
	w = wanted{version, &rulesv1.RuleList{}}
	return w, proto.Unmarshal(raw[sha256.Size+n:], w.spec)
}

// loadGood puts the last good version of a list in force, if there is one.
func (l *Loader) loadGood(ctx context.Context, name string, s *state) {
	w, err := l.readGood(name)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err == nil {
		s.good = w.spec
		err = l.load(ctx, name, w, s)
	}
	if err != nil {
		l.config.Log.Error("last good list cannot be used", "list", name, "err", err)
		return
	}
	l.config.Log.Warn("last good list is used", "list", name, "in_force", w.version)
}

func (l *Loader) forgetGood(name string) {
	if err := os.Remove(l.goodPath(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		l.config.Log.Error("last good list cannot be deleted", "list", name, "err", err)
	}
}
