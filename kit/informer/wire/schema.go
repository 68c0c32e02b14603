package wire

// Schema tells the fields of a message by their names: in .proto files, or as
// JSON calls them.
type Schema map[string]Field

// Field is a field of a Schema. Message is that of its value, or of each of
// its values; nil where it is no message, or one whose fields have no names
// here.
type Field struct {
	Number  int
	Message Schema
}
