package tool

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/backlot-video/backlot/kit/config"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/folder"
	"github.com/backlot-video/backlot/services/rules/list"
	"github.com/backlot-video/backlot/services/rules/rate"
)

// facts finds the fact type and the lists of sources: those that flags name,
// those beside the source (*.binpb and *.list, as the service's folder has
// them), and PaymentFact, which is built in.
type facts struct {
	descriptors repeated
	fact        string
	lists       repeated

	given *protoregistry.Files     // of descriptors
	named map[string]*list.List    // of lists
	dirs  map[string]*surroundings // by folder
}

// surroundings are the fact types, lists and exchange rates of a folder.
type surroundings struct {
	files *protoregistry.Files
	lists *list.Registry
	rates *rate.Ref
}

func (f *facts) register(set *config.Set) {
	set.Value(&f.descriptors, "descriptors", "`files` with descriptor sets (buf build -o facts.binpb) that hold the fact types; beside a source *.binpb are found")
	set.String(&f.fact, "fact", "", "full `name` of the message of the facts; empty: as the source says in `# fact: NAME`, else backlot.rules.v1.PaymentFact")
	set.Value(&f.lists, "list", "`name=file` of a list, an entry a line; may be repeated; beside a source NAME.list is found")
}

// load reads what the flags name.
func (f *facts) load() error {
	f.dirs, f.named = map[string]*surroundings{}, map[string]*list.List{}
	var err error
	if f.given, err = readDescriptors(f.descriptors); err != nil {
		return fmt.Errorf("--descriptors: %w", err)
	}
	for _, entry := range f.lists {
		name, path, ok := strings.Cut(entry, "=")
		if !ok || name == "" || path == "" {
			return fmt.Errorf("--list: want name=file, found %q", entry)
		}
		if f.named[strings.TrimPrefix(name, "@")], err = readList(path); err != nil {
			return fmt.Errorf("--list: %w", err)
		}
	}
	return nil
}

// of returns the fact type and the lists of a source that stands in dir.
func (f *facts) of(text, dir string) (*fact.Schema, *list.Registry, error) {
	around, err := f.around(dir)
	if err != nil {
		return nil, nil, err
	}
	name := f.fact
	if name == "" {
		name = folder.FactType([]byte(text))
	}
	payment := (*rulesv1.PaymentFact)(nil).ProtoReflect().Descriptor()
	if name == "" || name == string(payment.FullName()) {
		schema, err := fact.New(payment, fact.Config{})
		return schema, around.lists, err
	}
	for _, files := range []*protoregistry.Files{f.given, around.files} {
		found, err := files.FindDescriptorByName(protoreflect.FullName(name))
		if err != nil {
			continue
		}
		message, ok := found.(protoreflect.MessageDescriptor)
		if !ok {
			return nil, nil, fmt.Errorf("fact type %s is no message", name)
		}
		schema, err := fact.New(message, fact.Config{})
		return schema, around.lists, err
	}
	return nil, nil, fmt.Errorf("fact type %s is not known; give its --descriptors, or put them beside the source as NAME.binpb", name)
}

// around reads the fact types and lists of a folder once.
func (f *facts) around(dir string) (*surroundings, error) {
	if known := f.dirs[dir]; known != nil {
		return known, nil
	}
	sets, _ := filepath.Glob(filepath.Join(dir, "*.binpb"))
	files, err := readDescriptors(sets)
	if err != nil {
		return nil, err
	}
	s := &surroundings{files, &list.Registry{}, &rate.Ref{}}
	if err := readRates(filepath.Join(dir, "default.rates"), s.rates); err != nil {
		return nil, err
	}
	paths, _ := filepath.Glob(filepath.Join(dir, "*.list"))
	for _, path := range paths {
		built, err := readList(path)
		if err != nil {
			return nil, err
		}
		s.lists.Set(strings.TrimSuffix(filepath.Base(path), ".list"), built)
	}
	for _, name := range slices.Sorted(maps.Keys(f.named)) {
		s.lists.Set(name, f.named[name])
	}
	f.dirs[dir] = s
	return s, nil
}

// readRates reads a table of exchange rates, where there is one.
func readRates(path string, into *rate.Ref) error {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	table, err := rate.Read(file, "")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	into.Set(table)
	return nil
}

func readList(path string) (*list.List, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	built, err := list.Read(file, list.Config{}, info.Size())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return built, nil
}

// readDescriptors reads descriptor sets; files that several have are taken
// from the first.
func readDescriptors(paths []string) (*protoregistry.Files, error) {
	merged := &descriptorpb.FileDescriptorSet{}
	seen := map[string]bool{}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		set := &descriptorpb.FileDescriptorSet{}
		if err := proto.Unmarshal(raw, set); err != nil {
			return nil, fmt.Errorf("%s is no descriptor set: %w", path, err)
		}
		if len(set.GetFile()) == 0 {
			return nil, fmt.Errorf("%s is no descriptor set: it has no files", path)
		}
		for _, file := range set.GetFile() {
			if !seen[file.GetName()] {
				seen[file.GetName()] = true
				merged.File = append(merged.File, file)
			}
		}
	}
	return protodesc.NewFiles(merged)
}
