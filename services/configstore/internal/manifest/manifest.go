// Package manifest is objects as people write them: YAML documents, or JSON.
//
//	kind: Cluster
//	namespace: default      # may be left out
//	name: shop
//	labels: {team: web}     # may be left out
//	spec:                   # the kind's message in its JSON form
//	  static: {addresses: ["127.0.0.1:3000"]}
//
//	manifest.go  Kinds: reading and writing documents
//	diff.go      what differs between two states of objects
//
// It knows kinds by the descriptors that the store gives, so kinds of others
// are written like Backlot's own. It does no I/O but on given readers.
package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/anypb"
	"gopkg.in/yaml.v3"

	"github.com/backlot-video/backlot/kit/strictjson"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

// Limits of what is read.
const (
	MaxFileBytes = 16 << 20
	MaxDocuments = 10_000
)

// Kinds reads and writes specs of kinds. It is used by one goroutine.
type Kinds struct {
	kinds map[string]*configstorev1.Kind
	built map[string]*kind // those that were needed
	names []string
}

// kind is one whose descriptors were looked into.
type kind struct {
	message protoreflect.MessageType
	types   *dynamicpb.Types // what it imports, for Any
}

// NewKinds takes kinds as ListKinds gives them.
func NewKinds(kinds []*configstorev1.Kind) *Kinds {
	k := &Kinds{kinds: map[string]*configstorev1.Kind{}, built: map[string]*kind{}}
	for _, one := range kinds {
		k.kinds[one.GetName()] = one
		k.names = append(k.names, one.GetName())
	}
	slices.Sort(k.names)
	return k
}

// kind builds a kind's types when they are needed first.
func (k *Kinds) kind(name string) (*kind, error) {
	if built := k.built[name]; built != nil {
		return built, nil
	}
	one, known := k.kinds[name]
	if !known {
		return nil, fmt.Errorf("kind: %q is none of %s", name, strings.Join(k.names, ", "))
	}
	files, err := protodesc.NewFiles(one.GetDescriptors())
	if err != nil {
		return nil, fmt.Errorf("kind %s: %w", name, err)
	}
	found, err := files.FindDescriptorByName(protoreflect.FullName(one.GetMessage()))
	if err != nil {
		return nil, fmt.Errorf("kind %s: %w", name, err)
	}
	descriptor, is := found.(protoreflect.MessageDescriptor)
	if !is {
		return nil, fmt.Errorf("kind %s: %s is no message", name, one.GetMessage())
	}
	k.built[name] = &kind{message: dynamicpb.NewMessageType(descriptor), types: dynamicpb.NewTypes(files)}
	return k.built[name], nil
}

// Names are those of the kinds, in order.
func (k *Kinds) Names() []string { return k.names }

// document is one object's.
type document struct {
	Kind      string            `json:"kind" yaml:"kind"`
	Namespace string            `json:"namespace,omitempty" yaml:"namespace,omitempty"`
	Name      string            `json:"name" yaml:"name"`
	Labels    map[string]string `json:"labels,omitempty" yaml:"labels,omitempty"`
	Spec      any               `json:"spec" yaml:"spec"`
}

// Read reads the documents of a file; its name is for errors only, which tell
// the line of the document.
func (k *Kinds) Read(file string, from io.Reader) ([]*configstorev1.Object, error) {
	limited := &io.LimitedReader{R: from, N: MaxFileBytes + 1}
	decoder := yaml.NewDecoder(limited)
	decoder.KnownFields(true)
	var objects []*configstorev1.Object
	for {
		var node yaml.Node
		err := decoder.Decode(&node)
		switch {
		case limited.N == 0:
			return nil, fmt.Errorf("%s: above %d bytes", file, MaxFileBytes)
		case errors.Is(err, io.EOF):
			return objects, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", file, err)
		case len(objects) == MaxDocuments:
			return nil, fmt.Errorf("%s: more than %d documents", file, MaxDocuments)
		}
		if len(node.Content) == 0 || node.Content[0].Tag == "!!null" {
			continue // nothing between two lines of dashes
		}
		read, err := k.object(&node)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, node.Content[0].Line, err)
		}
		objects = append(objects, read)
	}
}

// members are what a document may have.
var members = []string{"kind", "namespace", "name", "labels", "spec"}

func (k *Kinds) object(node *yaml.Node) (*configstorev1.Object, error) {
	root := node.Content[0]
	if root.Kind != yaml.MappingNode {
		return nil, errors.New("a document must have kind, name and spec")
	}
	for i := 0; i < len(root.Content); i += 2 {
		if name := root.Content[i].Value; !slices.Contains(members, name) {
			return nil, fmt.Errorf("%q is none of %s", name, strings.Join(members, ", "))
		}
	}
	var d document
	if err := node.Decode(&d); err != nil {
		return nil, err
	}
	kind, err := k.kind(d.Kind)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(d.Spec)
	if err != nil {
		return nil, fmt.Errorf("spec: %w", err)
	}
	spec := kind.message.New().Interface()
	if d.Spec == nil {
		text = []byte("{}")
	}
	if err := strictjson.Unmarshal(text, spec, kind.types); err != nil {
		return nil, fmt.Errorf("%s %s: %s", d.Kind, d.Name, plain(err))
	}
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("spec: %w", err)
	}
	return &configstorev1.Object{
		Key:    &configstorev1.Key{Kind: d.Kind, Namespace: d.Namespace, Name: d.Name},
		Labels: d.Labels,
		Spec:   &anypb.Any{TypeUrl: "type.googleapis.com/" + string(kind.message.Descriptor().FullName()), Value: value},
	}, nil
}

// plain names the field below the spec, without a place in a line that nobody
// has written.
func plain(err error) string {
	if unknown := new(strictjson.UnknownFieldError); errors.As(err, &unknown) {
		return "spec." + err.Error()
	}
	text := err.Error()
	if strings.HasPrefix(text, "(line ") {
		if _, rest, found := strings.Cut(text, "): "); found {
			return "spec: " + rest
		}
	}
	return "spec: " + text
}

// Text is an object's document, the same for the same content.
func (k *Kinds) Text(o *configstorev1.Object) (string, error) { return k.text(o, false) }

// text hides what is secret, where it is told to.
func (k *Kinds) text(o *configstorev1.Object, hide bool) (string, error) {
	key := o.GetKey()
	kind, err := k.kind(key.GetKind())
	if err != nil {
		return "", err
	}
	spec := kind.message.New().Interface()
	if err := proto.Unmarshal(o.GetSpec().GetValue(), spec); err != nil {
		return "", fmt.Errorf("%s %s: %w", key.GetKind(), key.GetName(), err)
	}
	if hide {
		object.RedactMessage(spec)
	}
	raw, err := protojson.MarshalOptions{Resolver: kind.types}.Marshal(spec)
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", key.GetKind(), key.GetName(), err)
	}
	d := document{Kind: key.GetKind(), Namespace: key.GetNamespace(), Name: key.GetName(), Labels: o.GetLabels()}
	if d.Namespace == "" {
		d.Namespace = "default"
	}
	if err := json.Unmarshal(raw, &d.Spec); err != nil {
		return "", err
	}
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	encoder.SetIndent(2)
	if err := errors.Join(encoder.Encode(d), encoder.Close()); err != nil {
		return "", err
	}
	return text.String(), nil
}

// Write writes documents with lines of dashes between them.
func (k *Kinds) Write(to io.Writer, objects []*configstorev1.Object) error {
	for i, o := range objects {
		text, err := k.Text(o)
		if err != nil {
			return err
		}
		if o.GetUnreadable() { // a document without spec would be taken for an empty one
			key := o.GetKey()
			text = fmt.Sprintf("# %s %s/%s cannot be read: put it anew or delete it\n", key.GetKind(), key.GetNamespace(), key.GetName())
		}
		if i > 0 {
			text = "---\n" + text
		}
		if _, err := io.WriteString(to, text); err != nil {
			return err
		}
	}
	return nil
}
