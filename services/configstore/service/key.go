package service

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/seal"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

func (s *Service) keyFile(dataDir string) string {
	if s.config.KeyFile != "" {
		return s.config.KeyFile
	}
	return filepath.Join(dataDir, "secret.key")
}

// keys reads the key file. A member alone makes one in its data folder, unless
// the store is sealed already: a new key would open nothing.
func (s *Service) keys(ctx context.Context, dataDir string, etcd *engine.Engine) (*seal.Ring, error) {
	path := s.keyFile(dataDir)
	keys, err := seal.Load(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return keys, named(err)
	}
	id, sealed, err := store.HasKey(ctx, etcd)
	switch {
	case err != nil:
		return nil, err
	case sealed:
		return nil, fmt.Errorf("configstore.key-file: %s is missing, and secrets are encrypted with its key %s: bring it back from where it is kept, or from another member", path, id)
	case etcd.Members() > 1:
		return nil, fmt.Errorf("configstore.key-file: %s is missing: all members need the same; make it by `backlot configstore key FILE` and give it to each", path)
	case s.config.KeyFile != "":
		return nil, fmt.Errorf("configstore.key-file: %s is missing; make it by `backlot configstore key %s`", path, path)
	}
	keys, err = seal.Make(path)
	return keys, named(err)
}

func named(err error) error {
	if err != nil {
		err = fmt.Errorf("configstore.key-file: %w", err)
	}
	return err
}

// explained tells what to do about keys that do not open the store.
func explained(err error, path string) error {
	if errors.Is(err, store.ErrSealKey) {
		return fmt.Errorf("configstore.key-file: %s is not the file that the other members, or an earlier start, had: %w", path, err)
	}
	return err
}
