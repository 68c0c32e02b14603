package service

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"connectrpc.com/connect"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/backlot-video/backlot/kit/identity"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1/configstorev1connect"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

func prefixRoute(cluster string) *gatewayv1.Route {
	return &gatewayv1.Route{
		Path: &gatewayv1.PathMatch{Match: &gatewayv1.PathMatch_Prefix{Prefix: "/"}}, Target: &gatewayv1.Route_Cluster{Cluster: cluster},
	}
}

// within gives the request's object a namespace.
func within(namespace string, request *configstorev1.ApplyRequest) *configstorev1.ApplyRequest {
	request.GetChanges()[0].GetPut().GetKey().Namespace = namespace
	return request
}

// expecting gives the request's change an expected revision.
func expecting(revision int64, request *configstorev1.ApplyRequest) *configstorev1.ApplyRequest {
	request.GetChanges()[0].ExpectedRevision = revision
	return request
}

// large is above what a spec may have, by addresses that are valid.
func large() *gatewayv1.Cluster {
	address := strings.Repeat("a", 200) + ".example.com:80"
	addresses := make([]string, object.MaxSpecBytes/len(address)+1)
	for i := range addresses {
		addresses[i] = address
	}
	return &gatewayv1.Cluster{Endpoints: &gatewayv1.Cluster_Static{Static: &gatewayv1.StaticEndpoints{Addresses: addresses}}}
}

// TestBadReleasesHaveCodeAndPathAndWriteNothing goes through all that can be
// wrong with a release. Each is sent with a good change in front of the bad
// one, which must not be written either.
func TestBadReleasesHaveCodeAndPathAndWriteNothing(t *testing.T) {
	p := run(t, t.TempDir())
	operator := p.config(identity.Operator)
	ctx := t.Context()
	for _, request := range []*configstorev1.ApplyRequest{
		put(t, "Cluster", "a", cluster("one")),
		put(t, "Grant", "all", &configstorev1.Grant{
			Subjects: []string{"operator/somebody"}, Namespaces: []string{"default"},
			Verbs: []configstorev1.Grant_Verb{configstorev1.Grant_VERB_READ, configstorev1.Grant_VERB_WRITE},
		}),
	} {
		if _, err := operator.Apply(ctx, request); err != nil {
			t.Fatal(err)
		}
	}
	unknownField := put(t, "Route", "r", prefixRoute("a"))
	spec := unknownField.GetChanges()[0].GetPut().GetSpec()
	spec.Value = protowire.AppendVarint(protowire.AppendTag(spec.GetValue(), 9999, protowire.VarintType), 1)
	unknownKind := put(t, "Clutser", "b", cluster("one"))
	twice := put(t, "Cluster", "b", cluster("one"))
	twice.Changes = append(twice.Changes, twice.GetChanges()[0])
	for name, c := range map[string]struct {
		request *configstorev1.ApplyRequest
		code    connect.Code
		path    string
		says    string
	}{
		"failed rule":     {put(t, "Cluster", "b", cluster("Not A Name")), connect.CodeInvalidArgument, "changes[1].put.spec.service", ""},
		"name":            {put(t, "Cluster", "B!", cluster("one")), connect.CodeInvalidArgument, "changes[1].put.key.name", ""},
		"unknown field":   {unknownField, connect.CodeInvalidArgument, "changes[1].put.spec[9999]", "has no field 9999"},
		"unknown kind":    {unknownKind, connect.CodeNotFound, "changes[1].put.key.kind", `"Clutser" is not registered`},
		"another schema":  {put(t, "Route", "r", cluster("one")), connect.CodeInvalidArgument, "changes[1].put.spec", "backlot.gateway.v1.Route"},
		"too large":       {put(t, "Cluster", "b", large()), connect.CodeInvalidArgument, "changes[1].put.spec", "at most 524288"},
		"stale":           {expecting(1, put(t, "Cluster", "a", cluster("two"))), connect.CodeAborted, "changes[1].put", "expected 1"},
		"exists":          {expecting(-1, put(t, "Cluster", "a", cluster("two"))), connect.CodeAlreadyExists, "changes[1].put", "exists since revision"},
		"dangling":        {put(t, "Route", "r", prefixRoute("none")), connect.CodeFailedPrecondition, "changes[1].put.spec.cluster", "none"},
		"forbidden space": {within("other", put(t, "Cluster", "b", cluster("one"))), connect.CodePermissionDenied, "changes[1].put", "may not write"},
		"reserved kind":   {put(t, "Instance", "i", &configstorev1.Instance{Id: "i", Service: "s", Address: "a:1"}), connect.CodePermissionDenied, "changes[1].put", "registration"},
		"twice":           {twice, connect.CodeInvalidArgument, "changes[2].put", "twice"},
	} {
		t.Run(name, func(t *testing.T) {
			before := releases(ctx, t, operator)
			good := put(t, "Cluster", "good", cluster("one")).GetChanges()[0]
			c.request.Changes = append([]*configstorev1.Change{good}, c.request.GetChanges()...)
			_, err := operator.Apply(ctx, c.request)
			if connect.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want code %v and %q", err, c.code, c.says)
			}
			if faultPath(err) != c.path {
				t.Errorf("%v: fault at %q, want %q", err, faultPath(err), c.path)
			}
			if after := releases(ctx, t, operator); after != before {
				t.Errorf("%d releases became %d", before, after)
			}
		})
	}
}

// releases counts all that was ever released; the clients of these tests
// speak to stores with few.
func releases(ctx context.Context, t *testing.T, client configstorev1connect.ConfigServiceClient) int {
	t.Helper()
	listed, err := client.ListReleases(ctx, &configstorev1.ListReleasesRequest{PageSize: 500})
	if err != nil {
		t.Fatal(err)
	}
	return len(listed.GetReleases())
}

// faultPath is the first fault's, whether it is one name or elements.
func faultPath(err error) string {
	var coded *connect.Error
	if !errors.As(err, &coded) {
		return ""
	}
	for _, detail := range coded.Details() {
		value, err := detail.Value()
		violations, ok := value.(*validate.Violations)
		if err != nil || !ok {
			continue
		}
		var path strings.Builder
		for i, element := range violations.GetViolations()[0].GetField().GetElements() {
			if i > 0 {
				path.WriteByte('.')
			}
			path.WriteString(element.GetFieldName())
			if _, indexed := element.GetSubscript().(*validate.FieldPathElement_Index); indexed {
				path.WriteString("[" + strconv.FormatUint(element.GetIndex(), 10) + "]")
			}
		}
		return path.String()
	}
	return ""
}

// TestUnknownFieldOfJSONIsNamed misspells a field deep in a spec.
func TestUnknownFieldOfJSONIsNamed(t *testing.T) {
	p := run(t, t.TempDir())
	operator := p.config(identity.Operator)
	before := releases(t.Context(), t, operator)
	body := `{"reason":"by hand","changes":[{"put":{"key":{"kind":"Cluster","name":"a"},"spec":{` +
		`"@type":"type.googleapis.com/backlot.gateway.v1.Cluster","static":{"adresses":["127.0.0.1:80"]}}}}]}`
	status, answer := p.applyJSON(body)
	if status != http.StatusBadRequest || !strings.Contains(answer, "changes[0].put.spec.static.adresses: unknown field") {
		t.Errorf("%d: %s", status, answer)
	}
	if after := releases(t.Context(), t, operator); after != before {
		t.Errorf("%d releases became %d", before, after)
	}
}
