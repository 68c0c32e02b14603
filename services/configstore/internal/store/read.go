package store

import (
	"context"
	"fmt"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

// Found is an object that was read, or why it was not.
type Found struct {
	Object *configstorev1.Object
	Err    error
}

// GetEach is Get of several keys, for which the members agree once. What it
// returns is in order of the keys.
func (s *Store) GetEach(ctx context.Context, keys []object.Key) []Found {
	found := make([]Found, len(keys))
	known := make([]int, 0, len(keys))
	paths := make([][]byte, 0, len(keys))
	for n, key := range keys {
		if found[n].Err = s.knownKind(key.Kind, "key.kind"); found[n].Err == nil {
			known, paths = append(known, n), append(paths, []byte(key.Path()))
		}
	}
	if len(known) == 0 {
		return found
	}
	values, _, err := s.engine.Newest(ctx, paths)
	for at, n := range known {
		switch {
		case err != nil:
			found[n].Err = fmt.Errorf("get %s: %w", keys[n], err)
		case values[at] == nil:
			found[n].Err = fmt.Errorf("%s: %w", keys[n], ErrNotFound)
		default:
			found[n].Object, found[n].Err = s.sealer.decode(values[at])
		}
	}
	return found
}
