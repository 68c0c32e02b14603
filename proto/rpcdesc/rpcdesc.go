// Package rpcdesc describes RPC services as data, so that one implementation
// is served by Connect, by Kitex and in process.
//
//	rpcdesc.go  Service and Method, read by servers and clients of any kind
//	method.go   Unary and Stream, which generated code calls to fill a Method
//
// protoc-gen-backlot emits one Service per proto service beside its messages.
// The package opens no connection and enforces nothing: access, deadlines and
// validation are the duty of whoever serves or calls. Descriptions are made at
// start and only read afterwards, so they are safe for concurrent use.
package rpcdesc

import (
	"context"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	optionsv1 "github.com/backlot-video/backlot/proto/gen/backlot/options/v1"
)

// Principal is a kind of caller. A method lists the kinds that may call it.
type Principal = optionsv1.Principal

// Idempotency tells whether a call may be repeated. The zero value means that
// it may not.
type Idempotency = connect.IdempotencyLevel

// Conn carries unary calls to one backlot service, in process or far away.
type Conn interface {
	// Call sends req and fills res, which is empty. An error is a
	// *connect.Error. The callee does not see later changes of req.
	Call(ctx context.Context, method *Method, req, res proto.Message) error
}

// Service is one proto service.
type Service struct {
	Name    string // full name, as in "backlot.rules.v1.RulesService"
	Methods []Method
}

// Method is one method of a Service.
type Method struct {
	Service     string // full name of the service
	Name        string // as in the proto file
	Stream      bool   // server streaming: Connect only, Invoke is nil
	Access      []Principal
	Idempotency Idempotency

	NewRequest  func() proto.Message
	NewResponse func() proto.Message

	// Invoke calls the method on impl, which must implement the service's
	// generated Server interface. The response is nil where err is not.
	Invoke func(ctx context.Context, impl any, req proto.Message) (proto.Message, error)

	// handler makes the Connect handler of this method alone.
	handler func(method *Method, impl any, opts []connect.HandlerOption) http.Handler
}

// Procedure is the method's path over HTTP: "/backlot.foo.v1.FooService/Bar".
func (m *Method) Procedure() string { return "/" + m.Service + "/" + m.Name }

// Allows reports whether a principal of this kind may call the method.
func (m *Method) Allows(kind Principal) bool {
	for _, allowed := range m.Access {
		if allowed == kind {
			return true
		}
	}
	return false
}

// Schema is the method's descriptor, nil where its file is not linked in.
func (m *Method) Schema() protoreflect.MethodDescriptor {
	name := protoreflect.FullName(m.Service).Append(protoreflect.Name(m.Name))
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
	if err != nil {
		return nil
	}
	method, _ := found.(protoreflect.MethodDescriptor)
	return method
}

// Method returns the method of this name, nil where there is none.
func (s Service) Method(name string) *Method {
	for i := range s.Methods {
		if s.Methods[i].Name == name {
			return &s.Methods[i]
		}
	}
	return nil
}

// Connect returns a handler of the whole service for Connect, gRPC-Web, gRPC
// and JSON, and the path prefix to mount it at. It panics if impl lacks the
// service's generated Server interface, or its StreamServer one where methods
// stream.
func (s Service) Connect(impl any, opts ...connect.HandlerOption) (path string, handler http.Handler) {
	handlers := make(map[string]http.Handler, len(s.Methods))
	for i := range s.Methods {
		method := &s.Methods[i]
		handlers[method.Procedure()] = method.handler(method, impl, opts)
	}
	return "/" + s.Name + "/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, found := handlers[r.URL.Path]
		if !found {
			http.NotFound(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	})
}
