package xds

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

const (
	// maxMaterial bounds a file of a secret.
	maxMaterial = 256 << 10
	// rereadEvery is how often files of secrets are looked at.
	rereadEvery = 5 * time.Second
)

// files are the files that secrets name, with what was read of them last. One
// that cannot be read any more counts as it was: a release must not wait for
// somebody who is just writing a certificate.
type files struct {
	known map[string]*reading
	used  map[string]*reading // of the configuration that is being made
}

type reading struct {
	content []byte
	looked  os.FileInfo // at the last try; nil where there was no file
}

// read returns what a file holds, and reads it only where it has changed.
func (f *files) read(path string) ([]byte, error) {
	if f.used == nil {
		f.used = map[string]*reading{}
	}
	before := f.known[path]
	info, err := os.Stat(path)
	if before != nil && (err != nil || same(before.looked, info)) {
		f.used[path] = &reading{before.content, info}
		return before.content, nil
	}
	if err != nil {
		return nil, err
	}
	content, err := readFile(path)
	if err != nil {
		if before == nil {
			return nil, err
		}
		content = before.content
	}
	f.used[path] = &reading{content, info}
	return content, nil
}

func readFile(path string) ([]byte, error) {
	source, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = source.Close() }()
	content, err := io.ReadAll(io.LimitReader(source, maxMaterial+1))
	switch {
	case err != nil:
		return nil, err
	case len(content) == 0:
		return nil, fmt.Errorf("%s is empty", path)
	case len(content) > maxMaterial:
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxMaterial)
	}
	return content, nil
}

// turn ends the making of a configuration: files that it did not use are
// forgotten.
func (f *files) turn() { f.known, f.used = f.used, nil }

// changed tells whether reading again may give something else.
func (f *files) changed() bool {
	for path, one := range f.known {
		info, err := os.Stat(path)
		if err != nil {
			info = nil
		}
		if !same(one.looked, info) {
			return true
		}
	}
	return false
}

func same(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && os.SameFile(a, b)
}

// reread looks at the files of secrets until ctx ends.
func (c *Client) reread(ctx context.Context) {
	tick := time.NewTicker(rereadEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.follow.reread()
		case <-ctx.Done():
			return
		}
	}
}

// reread puts the resources in force in force once more where a file has
// changed. What cannot be is tried again at the next change.
func (f *follower) reread() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.good == nil || !f.builder.files.changed() {
		return
	}
	config, err := f.builder.config(f.good)
	if err == nil {
		err = f.client.config.Apply(config)
	}
	if err != nil {
		f.client.config.Log.Error("changed files of secrets are not put in force", "err", err)
		return
	}
	f.client.config.Log.Info("changed files of secrets are in force", "release_id", config.Release)
}
