package main

import (
	"fmt"

	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/types/descriptorpb"
)

const (
	contextPackage = protogen.GoImportPath("context")
	connectPackage = protogen.GoImportPath("connectrpc.com/connect")
	rpcdescPackage = protogen.GoImportPath("github.com/backlot-video/backlot/proto/rpcdesc")
)

func writeService(g *protogen.GeneratedFile, service *protogen.Service, access *accessReader) error {
	var unary, streams []*protogen.Method
	for _, method := range service.Methods {
		switch {
		case method.Desc.IsStreamingClient():
			return fmt.Errorf("method %s: streams from the client are not served", method.Desc.FullName())
		case method.Desc.IsStreamingServer():
			streams = append(streams, method)
		default:
			unary = append(unary, method)
		}
	}
	writeServer(g, service, unary)
	if len(streams) > 0 {
		writeStreamServer(g, service, streams)
	}
	if err := writeDesc(g, service, access); err != nil {
		return err
	}
	writeClient(g, service)
	return nil
}

func writeServer(g *protogen.GeneratedFile, service *protogen.Service, methods []*protogen.Method) {
	name := service.GoName + "Server"
	g.P()
	g.P("// ", name, " is what an implementation of ", service.Desc.FullName(), " has.")
	g.P("// A method returns a *connect.Error.")
	g.P("type ", name, " interface {")
	for _, method := range methods {
		g.P(method.Comments.Leading, method.GoName, unarySignature(g, method, "", ""))
	}
	g.P("}")
}

func writeStreamServer(g *protogen.GeneratedFile, service *protogen.Service, methods []*protogen.Method) {
	name := service.GoName + "StreamServer"
	g.P()
	g.P("// ", name, " is the streaming part of ", service.Desc.FullName(), ", served by Connect only.")
	g.P("type ", name, " interface {")
	for _, method := range methods {
		g.P(method.Comments.Leading, method.GoName, "(", contextPackage.Ident("Context"), ", *", method.Input.GoIdent,
			", *", connectPackage.Ident("ServerStream"), "[", method.Output.GoIdent, "]) error")
	}
	g.P("}")
}

func writeDesc(g *protogen.GeneratedFile, service *protogen.Service, access *accessReader) error {
	name := service.GoName + "Desc"
	g.P()
	g.P("// ", name, " describes ", service.Desc.FullName(), " for those who serve or call it.")
	g.P("var ", name, " = ", rpcdescPackage.Ident("Service"), "{")
	g.P("Name: ", quote(service.Desc.FullName()), ",")
	g.P("Methods: []", rpcdescPackage.Ident("Method"), "{")
	for _, method := range service.Methods {
		if err := writeMethod(g, service, method, access); err != nil {
			return err
		}
	}
	g.P("},")
	g.P("}")
	return nil
}

func writeMethod(g *protogen.GeneratedFile, service *protogen.Service, method *protogen.Method, access *accessReader) error {
	principals, err := access.principals(method)
	if err != nil {
		return err
	}
	complete, server := "Unary", service.GoName+"Server."
	if method.Desc.IsStreamingServer() {
		complete, server = "Stream", service.GoName+"StreamServer."
	}
	g.P(rpcdescPackage.Ident(complete), "(", rpcdescPackage.Ident("Method"), "{")
	g.P("Service: ", quote(service.Desc.FullName()), ",")
	g.P("Name: ", quote(method.Desc.Name()), ",")
	g.P("Access: []", rpcdescPackage.Ident("Principal"), "{")
	for _, principal := range principals {
		g.P(principal, ",")
	}
	g.P("},")
	if level := idempotency(method); level != "" {
		g.P("Idempotency: ", connectPackage.Ident(level), ",")
	}
	g.P("}, ", server, method.GoName, "),")
	return nil
}

func idempotency(method *protogen.Method) string {
	options, _ := method.Desc.Options().(*descriptorpb.MethodOptions)
	switch options.GetIdempotencyLevel() {
	case descriptorpb.MethodOptions_NO_SIDE_EFFECTS:
		return "IdempotencyNoSideEffects"
	case descriptorpb.MethodOptions_IDEMPOTENT:
		return "IdempotencyIdempotent"
	default:
		return ""
	}
}

func writeClient(g *protogen.GeneratedFile, service *protogen.Service) {
	name := service.GoName + "Client"
	g.P()
	g.P("// ", name, " calls ", service.Desc.FullName(), " over a Conn. It implements ", service.GoName, "Server.")
	g.P("type ", name, " struct {")
	g.P("conn ", rpcdescPackage.Ident("Conn"))
	g.P("}")
	g.P()
	g.P("// New", name, " returns a client whose calls go over conn.")
	g.P("func New", name, "(conn ", rpcdescPackage.Ident("Conn"), ") ", name, " {")
	g.P("return ", name, "{conn: conn}")
	g.P("}")
	for i, method := range service.Methods {
		if method.Desc.IsStreamingServer() {
			continue
		}
		g.P()
		g.P("// ", method.GoName, " calls ", method.Desc.FullName(), ".")
		g.P("func (c ", name, ") ", method.GoName, unarySignature(g, method, "ctx ", "req "), " {")
		g.P("res := new(", method.Output.GoIdent, ")")
		g.P("if err := c.conn.Call(ctx, &", service.GoName, "Desc.Methods[", i, "], req, res); err != nil {")
		g.P("return nil, err")
		g.P("}")
		g.P("return res, nil")
		g.P("}")
	}
}

// unarySignature is the method's type without its name; ctx and req are the
// parameters' names with a trailing space, or empty.
func unarySignature(g *protogen.GeneratedFile, method *protogen.Method, ctx, req string) string {
	return "(" + ctx + g.QualifiedGoIdent(contextPackage.Ident("Context")) +
		", " + req + "*" + g.QualifiedGoIdent(method.Input.GoIdent) +
		") (*" + g.QualifiedGoIdent(method.Output.GoIdent) + ", error)"
}

func quote[S ~string](s S) string { return fmt.Sprintf("%q", string(s)) }
