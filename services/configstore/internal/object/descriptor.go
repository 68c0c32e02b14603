package object

import (
	"crypto/sha256"
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// filePool holds the files of all kinds, each once. Two files of the same path
// may differ between kinds, so a file's identity is its content and that of
// what it imports. A file that is linked into this binary in the same form is
// taken from there: its messages are generated code rather than dynamic.
type filePool struct {
	files map[fileID]protoreflect.FileDescriptor
}

type fileID [sha256.Size]byte

// maxPooledFiles bounds the pool; a full one starts anew, and files are shared
// less.
const maxPooledFiles = 4096

func newFilePool() filePool {
	return filePool{files: make(map[fileID]protoreflect.FileDescriptor)}
}

// builder resolves the files of one set.
type builder struct {
	pool  *filePool
	files map[string]*descriptorpb.FileDescriptorProto
	done  map[string]built
	open  map[string]bool // being built: an import of one is a cycle
	known protoregistry.Files
}

type built struct {
	id     fileID
	file   protoreflect.FileDescriptor
	linked bool
}

// messageType finds a message in a set.
func (p *filePool) messageType(name protoreflect.FullName, set *descriptorpb.FileDescriptorSet) (protoreflect.MessageType, *Fault) {
	b := &builder{
		pool:  p,
		files: make(map[string]*descriptorpb.FileDescriptorProto, len(set.GetFile())),
		done:  make(map[string]built),
		open:  make(map[string]bool),
	}
	for _, file := range set.GetFile() {
		b.files[file.GetName()] = file
	}
	for _, file := range set.GetFile() {
		one, err := b.build(file.GetName())
		if err != nil {
			return nil, faultf(ErrInvalid, "kind.descriptors", "%s: %v", file.GetName(), err)
		}
		if found := findMessage(one.file.Messages(), name); found != nil {
			return typeOf(found, one.linked), nil
		}
	}
	return nil, faultf(ErrInvalid, "kind.message", "%q is not in the descriptors", name)
}

func typeOf(message protoreflect.MessageDescriptor, linked bool) protoreflect.MessageType {
	if linked {
		generated, err := protoregistry.GlobalTypes.FindMessageByName(message.FullName())
		if err == nil && generated.Descriptor() == message {
			return generated
		}
	}
	return dynamicpb.NewMessageType(message)
}

func findMessage(messages protoreflect.MessageDescriptors, name protoreflect.FullName) protoreflect.MessageDescriptor {
	for n := range messages.Len() {
		message := messages.Get(n)
		if message.FullName() == name {
			return message
		}
		if found := findMessage(message.Messages(), name); found != nil {
			return found
		}
	}
	return nil
}

func (b *builder) build(path string) (built, error) {
	if one, found := b.done[path]; found {
		return one, nil
	}
	file, found := b.files[path]
	switch {
	case !found:
		return built{}, errors.New("a file that it imports is not in the descriptors")
	case b.open[path]:
		return built{}, errors.New("it imports itself")
	}
	b.open[path] = true

	content, err := proto.MarshalOptions{Deterministic: true}.Marshal(file)
	if err != nil {
		return built{}, err
	}
	hash := sha256.New()
	hash.Write(content)
	linked := true
	for _, dependency := range file.GetDependency() {
		one, err := b.build(dependency)
		if err != nil {
			return built{}, err
		}
		hash.Write(one.id[:])
		linked = linked && one.linked
	}
	one := built{id: fileID(hash.Sum(nil))}
	one.file, one.linked, err = b.pool.file(one.id, file, linked, &b.known)
	if err != nil {
		return built{}, err
	}
	if err := b.known.RegisterFile(one.file); err != nil {
		return built{}, err
	}
	b.done[path] = one
	return one, nil
}

func (p *filePool) file(
	id fileID, file *descriptorpb.FileDescriptorProto, mayBeLinked bool, imports protodesc.Resolver,
) (_ protoreflect.FileDescriptor, linked bool, err error) {
	global, err := protoregistry.GlobalFiles.FindFileByPath(file.GetName())
	if known, found := p.files[id]; found {
		return known, known == global, nil
	}
	if len(p.files) >= maxPooledFiles {
		clear(p.files)
	}
	if err == nil && mayBeLinked && proto.Equal(protodesc.ToFileDescriptorProto(global), file) {
		p.files[id] = global
		return global, true, nil
	}
	fresh, err := protodesc.NewFile(file, imports)
	if err != nil {
		return nil, false, err
	}
	p.files[id] = fresh
	return fresh, false, nil
}

// DescriptorSet returns the file of a message and all that it imports, imports
// first.
func DescriptorSet(message protoreflect.MessageDescriptor) *descriptorpb.FileDescriptorSet {
	set := new(descriptorpb.FileDescriptorSet)
	seen := make(map[string]bool)
	var add func(file protoreflect.FileDescriptor)
	add = func(file protoreflect.FileDescriptor) {
		if seen[file.Path()] {
			return
		}
		seen[file.Path()] = true
		for n := range file.Imports().Len() {
			add(file.Imports().Get(n).FileDescriptor)
		}
		set.File = append(set.File, protodesc.ToFileDescriptorProto(file))
	}
	add(message.ParentFile())
	return set
}

// compatible tells what of the old message is lost in the new: every field
// must keep its number, name and type.
func compatible(old, fresh protoreflect.MessageDescriptor) Faults {
	seen := make(map[protoreflect.FullName]bool)
	var walk func(old, fresh protoreflect.MessageDescriptor) Faults
	walk = func(old, fresh protoreflect.MessageDescriptor) (faults Faults) {
		if old == fresh || seen[old.FullName()] {
			return nil
		}
		seen[old.FullName()] = true
		if old.FullName() != fresh.FullName() {
			return Faults{faultf(ErrIncompatible, "", "message %s became %s", old.FullName(), fresh.FullName())}
		}
		for n := range old.Fields().Len() {
			before := old.Fields().Get(n)
			after := fresh.Fields().ByNumber(before.Number())
			switch {
			case after == nil:
				faults = append(faults, faultf(ErrIncompatible, "", "field %s (%d) is gone", before.FullName(), before.Number()))
			case before.Name() != after.Name() || before.Kind() != after.Kind() || before.Cardinality() != after.Cardinality():
				faults = append(faults, faultf(ErrIncompatible, "", "field %s (%d) changed its name or type", before.FullName(), before.Number()))
			case before.Message() != nil:
				faults = append(faults, walk(before.Message(), after.Message())...)
			}
		}
		return faults
	}
	return walk(old, fresh)
}

func consumeField(raw []byte) (protowire.Number, int) {
	number, _, size := protowire.ConsumeField(raw)
	return number, size
}
