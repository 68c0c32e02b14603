package part

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
)

const (
	callTimeout = 20 * time.Second
	parallel    = 8 // calls of the bucket at a time
	maxPacked   = MaxBytes + 64<<10
)

// Store keeps parts in a bucket, and copies of those that are used in a folder.
// It is safe for concurrent use.
type Store struct {
	open  Opener
	local string // the bucket's folder, if it lies on a disk of this machine
	dir   string

	mu     sync.Mutex
	bucket *blob.Bucket // nil until it could be opened
}

// Opener opens a bucket, which others close.
type Opener func(context.Context) (*blob.Bucket, error)

// Opened is for a bucket that is open.
func Opened(bucket *blob.Bucket) Opener {
	return func(context.Context) (*blob.Bucket, error) { return bucket, nil }
}

// NewStore returns a store with copies in dir, which is made where it is
// missing. local is the bucket's folder if it lies on a disk of this machine,
// else empty: other buckets make objects durable as they are written. The bucket
// is opened when it is first used, and again after failures: a service whose
// lists are on disk does not need it to start.
func NewStore(open Opener, local, dir string) (*Store, error) {
	return &Store{open: open, local: local, dir: dir}, os.MkdirAll(dir, 0o700)
}

func (s *Store) opened(ctx context.Context) (*blob.Bucket, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bucket != nil {
		return s.bucket, nil
	}
	bucket, err := s.open(context.WithoutCancel(ctx)) // it outlives the call
	if err == nil {
		s.bucket = bucket
	}
	return bucket, err
}

func key(n Name) string { return "parts/" + n.String() + ".zst" }

func (s *Store) copyPath(n Name) string { return filepath.Join(s.dir, n.String()+".zst") }

// Missing returns those of some parts that are not in the bucket.
func (s *Store) Missing(ctx context.Context, names []Name) ([]Name, error) {
	bucket, err := s.opened(ctx)
	if err != nil {
		return nil, err
	}
	found := make([]bool, len(names))
	faults := make([]error, len(names))
	limit := make(chan struct{}, parallel)
	var group sync.WaitGroup
	for i, name := range names {
		limit <- struct{}{}
		group.Go(func() {
			defer func() { <-limit }()
			ctx, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			found[i], faults[i] = bucket.Exists(ctx, key(name))
		})
	}
	group.Wait()
	var missing []Name
	for i, name := range names {
		if !found[i] {
			missing = append(missing, name)
		}
	}
	return missing, errors.Join(faults...)
}

// Put keeps a part that was checked.
func (s *Store) Put(ctx context.Context, p *rulesv1.ListPart, packed []byte) error {
	bucket, err := s.opened(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := bucket.WriteAll(ctx, key(NameOf(p)), packed, &blob.WriterOptions{ContentType: "application/zstd"}); err != nil {
		return fmt.Errorf("keep part %s: %w", NameOf(p), err)
	}
	if s.local == "" {
		return nil
	}
	path := filepath.Join(s.local, filepath.FromSlash(key(NameOf(p))))
	return errors.Join(durable(path, os.O_RDWR), durable(filepath.Dir(path), os.O_RDONLY), durable(s.local, os.O_RDONLY))
}

// durable makes a file, or the names in a folder, outlast the machine.
func durable(path string, mode int) error {
	f, err := os.OpenFile(path, mode, 0)
	if err != nil {
		return err
	}
	err = errors.Join(f.Sync(), f.Close())
	if mode == os.O_RDONLY && runtime.GOOS == "windows" {
		return nil // it has no such call for folders and needs none
	}
	return err
}

// Read returns the text of a part, in buffer where that is long enough. The
// copy on disk is used where it is good; the bucket's makes it.
func (s *Store) Read(ctx context.Context, p *rulesv1.ListPart, buffer []byte) ([]byte, error) {
	name := NameOf(p)
	if packed, err := os.ReadFile(s.copyPath(name)); err == nil {
		if text, err := Unpack(p, packed, buffer); err == nil {
			return text, nil
		}
	}
	packed, err := s.fetch(ctx, name)
	if err != nil {
		return nil, err
	}
	text, err := unpack(name, packed, buffer)
	if err != nil {
		return nil, errors.Join(err, s.discard(ctx, name))
	}
	if err := sized(p, text); err != nil {
		return nil, err
	}
	return text, s.saveCopy(name, packed)
}

// discard deletes a part of the bucket that is not what its name says, so that
// it counts as missing and is put again.
func (s *Store) discard(ctx context.Context, name Name) error {
	bucket, err := s.opened(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return bucket.Delete(ctx, key(name))
}

func (s *Store) fetch(ctx context.Context, name Name) ([]byte, error) {
	bucket, err := s.opened(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := bucket.NewReader(ctx, key(name), nil)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return nil, fmt.Errorf("%w: %s", ErrMissing, name)
	}
	if err != nil {
		return nil, fmt.Errorf("fetch part %s: %w", name, err)
	}
	defer func() { _ = r.Close() }()
	packed, err := io.ReadAll(io.LimitReader(r, maxPacked))
	if err != nil {
		return nil, fmt.Errorf("fetch part %s: %w", name, err)
	}
	return packed, nil
}

// saveCopy is whole or nothing; what a crash of the machine leaves is checked
// when it is read.
func (s *Store) saveCopy(name Name, packed []byte) error {
	temporary, err := os.CreateTemp(s.dir, "new-*")
	if err != nil {
		return err
	}
	_, err = temporary.Write(packed)
	err = errors.Join(err, temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), s.copyPath(name))
	}
	if err != nil {
		_ = os.Remove(temporary.Name())
	}
	return err
}

// Keep deletes the copies on disk of all other parts, and what unfinished
// copies left. Nobody may Read meanwhile.
func (s *Store) Keep(used map[Name]bool) error {
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	wanted := make(map[string]bool, len(used))
	for name := range used {
		wanted[name.String()+".zst"] = true
	}
	for _, file := range files {
		if !wanted[file.Name()] {
			err = errors.Join(err, os.Remove(filepath.Join(s.dir, file.Name())))
		}
	}
	return err
}
