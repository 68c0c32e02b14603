package model

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/backlot-video/backlot/kit/crashpoint"
)

const suffix = ".model"

var (
	beforeRename = crashpoint.New("recommender/model/before-rename")
	afterRename  = crashpoint.New("recommender/model/after-rename")
)

// Store keeps models as files `<tenant>/<version>.model` in a folder. As
// versions are UUIDv7, the last by name is the newest. One Save at a time.
type Store struct {
	Dir      string
	Keep     int   // newest models kept per tenant, at least 1
	MaxBytes int64 // longest file that is written or read
}

// Tenants returns the tenants that have models.
func (s *Store) Tenants() ([]string, error) {
	entries, err := os.ReadDir(s.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list models: %w", err)
	}
	var tenants []string
	for _, e := range entries {
		if e.IsDir() {
			tenants = append(tenants, e.Name())
		}
	}
	return tenants, nil
}

// Save writes m so that after a crash there is the whole file or none, then
// removes models beyond Keep.
func (s *Store) Save(m *Model) error {
	if !safeName(m.Tenant) || !safeName(m.Version) {
		return fmt.Errorf("%w: tenant %q or version %q cannot be a file name", ErrInvalid, m.Tenant, m.Version)
	}
	data, err := Encode(m)
	if err != nil {
		return err
	}
	if int64(len(data)) > s.MaxBytes {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrInvalid, len(data), s.MaxBytes)
	}
	dir := filepath.Join(s.Dir, m.Tenant)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("save model: %w", err)
	}
	if err := writeAtomic(dir, m.Version+suffix, data); err != nil {
		return fmt.Errorf("save model %s: %w", m.Version, err)
	}
	return s.prune(dir)
}

func safeName(name string) bool {
	return name != "" && !strings.HasPrefix(name, ".") && !strings.ContainsAny(name, "/\\\x00:")
}

func writeAtomic(dir, name string, data []byte) (err error) {
	file, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	_, err = file.Write(data)
	err = errors.Join(err, file.Sync())
	err = errors.Join(err, file.Close())
	if err != nil {
		return err
	}
	beforeRename.Hit()
	if err := os.Rename(file.Name(), filepath.Join(dir, name)); err != nil {
		return err
	}
	afterRename.Hit()
	return syncDir(dir)
}

// versions returns the names of the model files in dir, newest first, and
// of files that a crash left half written.
func versions(dir string) (models, leftovers []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("list models: %w", err)
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case strings.HasPrefix(name, ".new-"):
			leftovers = append(leftovers, name)
		case strings.HasSuffix(name, suffix):
			models = append(models, name)
		}
	}
	slices.Sort(models)
	slices.Reverse(models)
	return models, leftovers, nil
}

func (s *Store) prune(dir string) error {
	models, leftovers, err := versions(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range append(leftovers, models[min(len(models), s.Keep):]...) {
		errs = append(errs, os.Remove(filepath.Join(dir, name)))
	}
	return errors.Join(errs...)
}

// Latest returns the newest model of a tenant that can be read, nil when
// there is none, and beside it an error that tells of those that cannot be.
func (s *Store) Latest(tenant string) (*Model, error) {
	if !safeName(tenant) {
		return nil, nil
	}
	dir := filepath.Join(s.Dir, tenant)
	models, _, err := versions(dir)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, name := range models {
		m, err := s.load(filepath.Join(dir, name))
		if err == nil && m.Tenant != tenant {
			m.Close()
			err = fmt.Errorf("%w: it is of tenant %q", ErrInvalid, m.Tenant)
		}
		if err == nil {
			return m, errors.Join(errs...)
		}
		errs = append(errs, fmt.Errorf("load model %s: %w", name, err))
	}
	return nil, errors.Join(errs...)
}

func (s *Store) load(path string) (*Model, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > s.MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", ErrInvalid, info.Size(), s.MaxBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Decode(data)
}
