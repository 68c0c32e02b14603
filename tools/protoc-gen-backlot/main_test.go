package main

import (
	"context"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

var update = flag.Bool("update", false, "write testdata/echo.golden")

const golden = "testdata/echo.golden"

func TestGenerateMatchesGolden(t *testing.T) {
	source, err := os.ReadFile("testdata/echo.proto")
	if err != nil {
		t.Fatal(err)
	}
	got, problem := run(t, string(source))
	if problem != "" {
		t.Fatal(problem)
	}
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("output differs from %s (go test -update writes it):\n%s", golden, got)
	}
}

func TestGenerateRefuses(t *testing.T) {
	tests := []struct{ name, method, want string }{
		{"stream from the client", "rpc Put(stream M) returns (M);", "echo.v1.S.Put: streams from the client"},
		{"stream both ways", "rpc Put(stream M) returns (stream M);", "echo.v1.S.Put: streams from the client"},
		{"empty access", "rpc Put(M) returns (M) { option (backlot.options.v1.access) = {}; }", "echo.v1.S.Put: option (backlot.options.v1.access) lists nobody"},
		{
			"unspecified principal",
			"rpc Put(M) returns (M) { option (backlot.options.v1.access) = {principals: PRINCIPAL_UNSPECIFIED}; }",
			"echo.v1.S.Put: unknown principal 0",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, problem := run(t, `syntax = "proto3"; package echo.v1;
				import "backlot/options/v1/options.proto";
				option go_package = "example.org/echo/v1;echov1";
				message M {}
				service S { `+test.method+` }`)
			if !strings.Contains(problem, test.want) {
				t.Errorf("got %q, want %q in it", problem, test.want)
			}
		})
	}
}

// run compiles source with the real options and gives it to the plugin as buf
// does. It returns the one file that the plugin answers, or its error.
func run(t *testing.T, source string) (content, problem string) {
	t.Helper()
	options, err := os.ReadFile("../../proto/backlot/options/v1/options.proto")
	if err != nil {
		t.Fatal(err)
	}
	compiler := protocompile.Compiler{
		SourceInfoMode: protocompile.SourceInfoStandard,
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
			Accessor: protocompile.SourceAccessorFromMap(map[string]string{
				"echo.proto":                       source,
				"backlot/options/v1/options.proto": string(options),
			}),
		}),
	}
	files, err := compiler.Compile(context.Background(), "echo.proto")
	if err != nil {
		t.Fatal(err)
	}
	request := &pluginpb.CodeGeneratorRequest{
		FileToGenerate: []string{"echo.proto"},
		Parameter:      proto.String("paths=source_relative,Mbacklot/options/v1/options.proto=github.com/backlot-video/backlot/proto/gen/backlot/options/v1;optionsv1"),
		ProtoFile:      closure(files[0], map[string]bool{}),
	}
	// What arrives over the wire keeps the option as unknown bytes.
	wire, err := proto.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	request.Reset()
	if err := proto.Unmarshal(wire, request); err != nil {
		t.Fatal(err)
	}
	plugin, err := protogen.Options{}.New(request)
	if err != nil {
		t.Fatal(err)
	}
	if err := generate(plugin); err != nil {
		return "", err.Error()
	}
	response := plugin.Response()
	if response.GetError() != "" || len(response.GetFile()) != 1 {
		t.Fatalf("want one file, got %v", response)
	}
	return response.GetFile()[0].GetContent(), ""
}

// closure is file after all that it imports.
func closure(file protoreflect.FileDescriptor, seen map[string]bool) []*descriptorpb.FileDescriptorProto {
	if seen[file.Path()] {
		return nil
	}
	seen[file.Path()] = true
	var all []*descriptorpb.FileDescriptorProto
	for i := range file.Imports().Len() {
		all = append(all, closure(file.Imports().Get(i), seen)...)
	}
	return append(all, protodesc.ToFileDescriptorProto(file))
}
