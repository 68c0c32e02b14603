package informer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/proto"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// A snapshot file is the magic, the SHA-256 of the body, and the body: a
// configstore.v1.ListResponse in wire format. Beside FILE, FILE.prev keeps the
// one before.
const (
	snapshotMagic    = "BLINFORMER1\n"
	snapshotHeader   = len(snapshotMagic) + sha256.Size
	maxSnapshotBytes = 256 << 20
)

// errSnapshot is the reason for refusing a snapshot file.
var errSnapshot = errors.New("snapshot is damaged")

func encodeSnapshot(kind string, items []Item, revision int64) ([]byte, error) {
	list := &configstorev1.ListResponse{Revision: revision, Objects: make([]*configstorev1.Object, len(items))}
	for n, item := range items {
		list.Objects[n] = objectOf(kind, item)
	}
	body, err := proto.Marshal(list)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(body)
	return bytes.Join([][]byte{[]byte(snapshotMagic), sum[:], body}, nil), nil
}

func decodeSnapshot(raw []byte, kind string) ([]Item, int64, error) {
	if len(raw) < snapshotHeader || string(raw[:len(snapshotMagic)]) != snapshotMagic {
		return nil, 0, errSnapshot
	}
	body := raw[snapshotHeader:]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:], raw[len(snapshotMagic):snapshotHeader]) {
		return nil, 0, errSnapshot
	}
	list := new(configstorev1.ListResponse)
	if err := proto.Unmarshal(body, list); err != nil {
		return nil, 0, fmt.Errorf("%w: %w", errSnapshot, err)
	}
	items := make([]Item, len(list.GetObjects()))
	for n, object := range list.GetObjects() {
		if found := object.GetKey().GetKind(); found != kind {
			return nil, 0, fmt.Errorf("%w: it holds kind %q, not %q", errSnapshot, found, kind)
		}
		items[n] = itemOf(object)
	}
	return items, list.GetRevision(), nil
}

// readSnapshot returns the newest snapshot that is whole.
func readSnapshot(path, kind string) (items []Item, revision int64, err error) {
	var faults []error
	for _, candidate := range []string{path, path + ".prev"} {
		raw, err := readBounded(candidate)
		if err == nil {
			items, revision, err = decodeSnapshot(raw, kind)
		}
		if err == nil {
			return items, revision, nil
		}
		faults = append(faults, err)
	}
	return nil, 0, errors.Join(faults...)
}

func readBounded(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxSnapshotBytes))
}

// writeSnapshot replaces path so that a crash at any time leaves a whole one.
func writeSnapshot(path string, raw []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, filepath.Base(path)+".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	_, err = file.Write(raw)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(path, path+".prev"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(file.Name(), path)
}

// loadSnapshot takes over the state of an earlier run, unless the informer is
// synced already or there is none.
func (i *Informer[T]) loadSnapshot() {
	select {
	case <-i.synced:
		return
	default:
	}
	keeper, keeps := i.decoder.(Keeper[T])
	if i.config.SnapshotFile == "" || !keeps {
		return
	}
	items, revision, err := readSnapshot(i.config.SnapshotFile, i.kind)
	if err != nil {
		i.config.Log.Warn("no snapshot to start from", "file", i.config.SnapshotFile, "err", err)
		return
	}
	objects := make([]*Object[T], 0, len(items))
	for n := range items {
		spec, err := keeper.Restore(items[n].Spec)
		if err != nil {
			i.refuse(&items[n], err)
			continue
		}
		objects = append(objects, objectWith(&items[n], spec))
	}
	i.delivered(i.store.replace(objects, revision))
	i.config.Log.Warn("serving the last good snapshot", "file", i.config.SnapshotFile,
		"objects", len(items), "revision", revision)
	i.markSynced()
}

// saveLoop writes the snapshot after changes, at most every SnapshotEvery, and
// once more at the end.
func (i *Informer[T]) saveLoop(ctx context.Context) {
	for {
		select {
		case <-i.dirty:
			i.save()
			pause(ctx, i.config.SnapshotEvery)
		case <-ctx.Done():
			select {
			case <-i.dirty:
				i.save()
			default:
			}
			return
		}
	}
}

func (i *Informer[T]) save() {
	keeper := i.decoder.(Keeper[T]) // Run has checked
	objects, revision := i.store.list(), i.store.revision()
	items := make([]Item, len(objects))
	var err error
	for n, object := range objects {
		items[n] = Item{
			Namespace: object.Namespace, Name: object.Name, Labels: object.Labels,
			Revision: object.Revision, ReleaseID: object.ReleaseID,
		}
		if items[n].Spec, err = keeper.Encode(object.Spec); err != nil {
			break
		}
	}
	var raw []byte
	if err == nil {
		raw, err = encodeSnapshot(i.kind, items, revision)
	}
	if err == nil {
		err = writeSnapshot(i.config.SnapshotFile, raw)
	}
	if err != nil {
		i.metrics.failures.WithLabelValues(i.kind, "snapshot").Inc()
		i.config.Log.Error("snapshot cannot be written", "file", i.config.SnapshotFile, "err", err)
	}
}
