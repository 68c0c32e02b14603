package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"github.com/backlot-video/backlot/kit/file"
)

// maxGood bounds a file of a last good version.
const maxGood = 64 << 20

func (c *Catalog) goodPath(name string) string {
	return filepath.Join(c.config.Dir, url.QueryEscape(name)+".json")
}

// saveGood keeps a version that took force. The file is whole or absent.
func (c *Catalog) saveGood(r Ruleset) error {
	if kept, found, err := c.loadGood(r.Name); err == nil && found && kept == r {
		return nil
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return file.Replace(c.goodPath(r.Name), raw)
}

// loadGood reads the last good version of a ruleset, if there is one.
func (c *Catalog) loadGood(name string) (r Ruleset, found bool, err error) {
	source, err := os.Open(c.goodPath(name))
	if errors.Is(err, os.ErrNotExist) {
		return r, false, nil
	}
	if err != nil {
		return r, false, err
	}
	defer func() { _ = source.Close() }()
	raw, err := io.ReadAll(io.LimitReader(source, maxGood))
	if err != nil {
		return r, false, err
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, false, fmt.Errorf("%s: %w", c.goodPath(name), err)
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
