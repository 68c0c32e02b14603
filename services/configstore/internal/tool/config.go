package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"connectrpc.com/connect"

	"github.com/backlot-video/backlot/kit/tool"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1/configstorev1connect"
	"github.com/backlot-video/backlot/services/configstore/internal/manifest"
)

// AboutConfig says what the tool about objects is for.
const AboutConfig = "reads, changes and takes back configuration"

// ConfigVerbs are those about objects.
func ConfigVerbs() []tool.Verb {
	return []tool.Verb{
		getVerb(), kindsVerb(), diffVerb(), applyVerb(), editVerb(), historyVerb(), rollbackVerb(), draftVerb(), canaryVerb(), rolloutVerb(),
	}
}

// maxFiles bounds the files of one apply.
const maxFiles = 10_000

// store is the objects of a running Backlot.
type store struct {
	remote
	namespace string
	kinds     *manifest.Kinds
}

func (s *store) config() configstorev1connect.ConfigServiceClient {
	return configstorev1connect.NewConfigServiceClient(s.Client, s.URL)
}

func (s *store) drafts() configstorev1connect.DraftServiceClient {
	return configstorev1connect.NewDraftServiceClient(s.Client, s.URL)
}

// known runs fn once the operator is signed in and the kinds are known.
func (s *store) known(check func(args []string) error, fn func(ctx context.Context, args []string) error) func(context.Context, []string) error {
	return s.Online(check, func(ctx context.Context, args []string) error {
		response, err := s.config().ListKinds(ctx, &configstorev1.ListKindsRequest{})
		if err != nil {
			return err
		}
		s.kinds = manifest.NewKinds(response.GetKinds())
		return fn(ctx, args)
	})
}

func (s *store) key(kind, name string) *configstorev1.Key {
	return &configstorev1.Key{Kind: s.kindName(kind), Namespace: s.namespace, Name: name}
}

// kindName takes a kind in any letters.
func (s *store) kindName(name string) string {
	for _, known := range s.kinds.Names() {
		if strings.EqualFold(known, name) {
			return known
		}
	}
	return name
}

// now is an object as it is, nil where it does not exist.
func (s *store) now(ctx context.Context, key *configstorev1.Key) (*configstorev1.Object, error) {
	response, err := s.config().Get(ctx, &configstorev1.GetRequest{Key: key})
	if connect.CodeOf(err) == connect.CodeNotFound {
		return nil, nil
	}
	return response.GetObject(), err
}

// read reads the objects of files, of all YAML and JSON files of folders, or of
// the standard input, which is `-`. No two may be of the same key.
func (s *store) read(paths []string) ([]*configstorev1.Object, error) {
	var objects []*configstorev1.Object
	seen := map[string]string{}
	add := func(name string, from io.Reader) error {
		found, err := s.kinds.Read(name, from)
		if err != nil {
			return err
		}
		for _, o := range found {
			title := manifest.Title(o.GetKey())
			if before, twice := seen[title]; twice {
				return fmt.Errorf("%s is in %s and in %s", title, before, name)
			}
			seen[title] = name
		}
		objects = append(objects, found...)
		return nil
	}
	for _, path := range paths {
		if path == "-" {
			if err := add("standard input", s.std.In); err != nil {
				return nil, err
			}
			continue
		}
		files, err := filesOf(path)
		if err != nil {
			return nil, err
		}
		for _, name := range files {
			file, err := os.Open(name)
			if err != nil {
				return nil, err
			}
			if err := errors.Join(add(name, file), file.Close()); err != nil {
				return nil, err
			}
		}
	}
	if len(objects) == 0 {
		return nil, errors.New("the files hold no object")
	}
	return objects, nil
}

var endings = []string{".yaml", ".yml", ".json"}

// filesOf are a file, or what a folder holds at any depth, in order.
func filesOf(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return []string{path}, err
	}
	var files []string
	err = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !slices.Contains(endings, filepath.Ext(name)) {
			return err
		}
		if files = append(files, name); len(files) > maxFiles {
			return fmt.Errorf("%s: more than %d files", path, maxFiles)
		}
		return nil
	})
	return files, err
}
