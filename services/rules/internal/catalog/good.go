package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"github.com/backlot-video/backlot/kit/crashpoint"
	"github.com/backlot-video/backlot/kit/file"
)

// maxGood bounds a file of a last good version.
const maxGood = 64 << 20

var (
	errDamaged = errors.New("damaged: its checksum does not match")

	beforeGood = crashpoint.New("rules/good/before-save")
	afterGood  = crashpoint.New("rules/good/after-save")
)

// good is the form of a file: what is in force and, where a rollout runs, the
// version beside it.
type good struct {
	SHA256  string          `json:"sha256"`
	Ruleset json.RawMessage `json:"ruleset"`
}

func (c *Catalog) goodPath(name string) string {
	return filepath.Join(c.config.Dir, url.QueryEscape(name)+".json")
}

// saveGood keeps what took force. The file is whole or absent.
func (c *Catalog) saveGood(r Ruleset) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(raw)
	raw, err = json.Marshal(good{hex.EncodeToString(sum[:]), raw})
	if err != nil {
		return err
	}
	if kept, err := c.readGood(r.Name); err == nil && bytes.Equal(kept, raw) {
		return nil
	}
	beforeGood.Hit()
	err = file.Replace(c.goodPath(r.Name), raw)
	afterGood.Hit()
	return err
}

func (c *Catalog) readGood(name string) ([]byte, error) {
	source, err := os.Open(c.goodPath(name))
	if err != nil {
		return nil, err
	}
	defer func() { _ = source.Close() }()
	return io.ReadAll(io.LimitReader(source, maxGood))
}

// loadGood reads what was last in force of a ruleset, if there is something.
func (c *Catalog) loadGood(name string) (r Ruleset, found bool, err error) {
	raw, err := c.readGood(name)
	if errors.Is(err, os.ErrNotExist) {
		return r, false, nil
	}
	if err != nil {
		return r, false, err
	}
	var outer good
	if err := json.Unmarshal(raw, &outer); err != nil {
		return r, false, fmt.Errorf("%s: %w", c.goodPath(name), err)
	}
	content := []byte(outer.Ruleset)
	if outer.SHA256 == "" {
		content = raw // of a release before checksums
	} else if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != outer.SHA256 {
		return r, false, fmt.Errorf("%s: %w", c.goodPath(name), errDamaged)
	}
	if err := json.Unmarshal(content, &r); err != nil {
		return Ruleset{}, false, fmt.Errorf("%s: %w", c.goodPath(name), err)
	}
	return r, r.Name == name, nil
}

func (c *Catalog) forgetGood(name string) error {
	err := os.Remove(c.goodPath(name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}
