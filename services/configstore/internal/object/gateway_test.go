package object_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/kit/testcert"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
)

// faultPaths checks a spec written as JSON and returns the faulty fields.
func faultPaths(t *testing.T, kinds *object.Kinds, kind string, spec proto.Message, text string) []string {
	t.Helper()
	if err := protojson.Unmarshal([]byte(text), spec); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	_, faults := kinds.Check(kind, pack(t, spec), "")
	var paths []string
	for _, fault := range faults {
		paths = append(paths, strings.TrimPrefix(fault.Path, "."))
	}
	slices.Sort(paths)
	return paths
}

func TestRoutesThatCannotWorkAreRefused(t *testing.T) {
	kinds := builtins(t)
	const to = `"cluster": "c"`
	for _, test := range []struct{ spec, want string }{
		{`"path": {"prefix": "/"}, ` + to, ""},
		{`"path": {"prefix": "/a/../b"}, ` + to, "path.prefix"},
		{`"path": {"exact": "/a//b"}, ` + to, "path.exact"},
		{`"path": {"exact": "/%61"}, ` + to, "path.exact"},
		{`"path": {"exact": "/a b"}, ` + to, "path.exact"},
		{`"path": {"exact": "/a?b"}, ` + to, "path.exact"},
		{`"path": {"template": "/{a}/{b...}"}, "path_rewrite": "/{b}/{a}", ` + to, ""},
		{`"path": {"template": "/{a}/{a}"}, ` + to, "path.template"},
		{`"path": {"template": "/{a}"}, "path_rewrite": "/{b}", ` + to, "path_rewrite"},
		{`"path": {"prefix": "/a"}, "path_rewrite": "/b", ` + to, "path_rewrite"},
		{`"path": {"prefix": "/a"}, "prefix_rewrite": "b", ` + to, "prefix_rewrite"},
		{`"path": {"prefix": "/a"}, "prefix_rewrite": "/b/", ` + to, "prefix_rewrite"},
		{`"path": {"prefix": "/a/"}, "prefix_rewrite": "/", ` + to, ""},
		{`"path": {"prefix": "/"}, "headers": [{"name": "x", "regex": "["}], ` + to, "headers[0].regex"},
		{`"path": {"prefix": "/"}, "headers": [{"name": ":path", "present": true}], ` + to, "headers[0].name"},
		{`"path": {"prefix": "/"}, "headers": [{"name": "x"}], ` + to, "headers[0].match"},
		{`"path": {"prefix": "/"}, "headers": [{"name": "x", "present": false}], ` + to, "headers[0].present"},
		{`"path": {"prefix": "/"}, "queries": [{"name": "x", "exact": "1", "invert": true}], ` + to, "queries[0].invert"},
		{`"path": {"prefix": "/"}, "split": {"clusters": [{"cluster": "a", "weight": 9}, {"cluster": "b", "weight": 1}]}`, ""},
		{`"path": {"prefix": "/"}, "split": {"clusters": [{"cluster": "a"}, {"cluster": "b"}]}`, "split.clusters"},
		{`"path": {"prefix": "/"}, "split": {"clusters": [{"cluster": "a", "weight": 1}, {"cluster": "a", "weight": 1}]}`, "split.clusters[1].cluster"},
		{`"path": {"prefix": "/"}, "host_rewrite": "a b", ` + to, "host_rewrite"},
		{`"path": {"prefix": "/"}, "host_rewrite": "a", "console": {}`, "host_rewrite"},
		{`"path": {"prefix": "/"}, "redirect": {}`, "redirect"},
		{`"path": {"prefix": "/"}, "redirect": {"scheme": "https", "status": 308}`, ""},
		{`"path": {"prefix": "/"}, "redirect": {"path": "/a", "prefix_rewrite": "/b"}`, "redirect.prefix_rewrite"},
		{`"path": {"prefix": "/"}, "redirect": {"path": "/a", "status": 304}`, "redirect.status"},
		{`"path": {"prefix": "/"}, "answer": {"status": 204, "body": "x"}`, "answer.body"},
		{`"path": {"prefix": "/"}, "answer": {"status": 100}`, "answer.status"},
		{`"path": {"prefix": "/"}, "answer": {"status": 200}, "mirrors": [{"cluster": "a", "parts_per_million": 1}]`, "mirrors"},
		{`"path": {"prefix": "/"}, "mirrors": [{"cluster": "a"}], ` + to, "mirrors[0].parts_per_million"},
	} {
		got := strings.Join(faultPaths(t, kinds, "Route", new(gatewayv1.Route), "{"+test.spec+"}"), " ")
		if got != test.want {
			t.Errorf("%s: faults at %q, want %q", test.spec, got, test.want)
		}
	}
}

func TestPoliciesThatCannotWorkAreRefused(t *testing.T) {
	kinds := builtins(t)
	for _, test := range []struct{ policy, want string }{
		{``, ""},
		{`"timeout": "1s", "try_timeout": "2s"`, "policy.try_timeout"},
		{`"timeout": "0s", "try_timeout": "2s"`, ""},
		{`"retry": {"statuses": [503], "backoff_min": "1s"}`, "policy.retry.backoff_min"},
		{`"retry": {"statuses": [200]}`, "policy.retry.statuses[0]"},
		{`"retry": {"reset": true}, "max_attempts": 1`, "policy.retry"},
		{`"hedge": {}`, "policy.hedge.after"},
		{`"hash": [{"header": "a b"}, {"cookie": "="}, {"subject": true}]`, "policy.hash[0].header policy.hash[1].cookie"},
		{`"cors": {"origins": ["*"], "credentials": true}`, "policy.cors.credentials"},
		{`"cors": {"origins": ["*"], "headers": ["a b"]}`, "policy.cors.headers[0]"},
		{
			`"cors": {"origins": ["https://a.b", "https://*.a.b:8443", "http://[::1]:1", "a.b", "https://a.b/", "null", "https://*", "ftp://a"]}`,
			"policy.cors.origins[2] policy.cors.origins[3] policy.cors.origins[4] policy.cors.origins[5] policy.cors.origins[6] policy.cors.origins[7]",
		},
		{`"jwt": {"secret": "s", "issuer": "i", "forward": {"sub": "X-Sub"}}`, ""},
		{`"jwt": {"secret": "s", "issuer": "i", "forward": {"sub": "Backlot-Principal"}}`, "policy.jwt.forward[sub]"},
		{`"jwt": {"issuer": "i"}`, "policy.jwt.secret"},
		{`"api_key": {"secret": "s", "header": "a:", "query": "a&b"}`, "policy.api_key.header policy.api_key.query"},
		{`"client_certificate": {"names": ["*.a", "a.*"]}`, "policy.client_certificate.names[1]"},
		{`"any_of": [{"jwt": {"secret": "s", "issuer": "i"}}, {"api_key": {"secret": "s"}}, {"client_certificate": {}}]`, ""},
		{
			`"any_of": [{"jwt": {"secret": "s", "issuer": "i", "optional": true, "forward": {"sub": "Host"}}}, {"api_key": {"secret": "s", "header": "a b", "optional": true}}]`,
			"policy.any_of[0].jwt.forward[sub] policy.any_of[0].jwt.optional policy.any_of[1].api_key.header policy.any_of[1].api_key.optional",
		},
		{
			`"any_of": [{"api_key": {"secret": "s", "query": "k"}}, {"api_key": {"secret": "t", "header": "x-api-key", "query": "k"}}]`,
			"policy.any_of[1].api_key.header policy.any_of[1].api_key.query",
		},
		{
			`"any_of": [{"api_key": {"secret": "s"}}, {"client_certificate": {"names": ["a.*"]}}], "jwt": {"secret": "s", "issuer": "i"}`,
			"policy.any_of policy.any_of[1].client_certificate.names[0]",
		},
		{`"any_of": [{}]`, "policy.any_of[0].how"},
		{`"external_authorization": {"cluster": "c", "headers": ["a", "b c"]}`, "policy.external_authorization.headers[1]"},
		{`"rate_limits": [{"name": "a", "rate": 1, "strict": true}, {"name": "b", "rate": 1, "strict": true, "global": true}]`, "policy.rate_limits[0].strict"},
		{`"external_authorization": {"cluster": "c", "timeout": "0s"}`, "policy.external_authorization.timeout"},
		{`"rate_limits": [{"name": "a", "rate": 1}, {"name": "a", "rate": 1}, {"name": "b"}]`, "policy.rate_limits[1].name policy.rate_limits[2].rate"},
		{`"compression": {"content_types": ["text/plain", "text"]}`, "policy.compression.content_types[1]"},
		{
			`"request_headers": {"remove": ["Host"], "set": [{"name": "X", "value": "%CLIENT_IP% %REQ(a)%"}], "add": [{"name": "X", "value": "100%"}]}`,
			"policy.request_headers.add[0].value policy.request_headers.remove[0]",
		},
		{
			`"response_headers": {"set": [{"name": "Connection"}, {"name": "X", "value": "a\nb"}, {"name": "X", "value": "%NO%"}]}`,
			"policy.response_headers.set[0].name policy.response_headers.set[1].value policy.response_headers.set[2].value",
		},
	} {
		got := strings.Join(faultPaths(t, kinds, "Route", new(gatewayv1.Route),
			`{"path": {"prefix": "/"}, "cluster": "c", "policy": {`+test.policy+"}}"), " ")
		if got != test.want {
			t.Errorf("%s: faults at %q, want %q", test.policy, got, test.want)
		}
	}
}

func TestClustersAndListenersThatCannotWorkAreRefused(t *testing.T) {
	kinds := builtins(t)
	for _, test := range []struct{ spec, want string }{
		{`"static": {}`, "static"},
		{`"static": {"addresses": ["a:1"], "endpoints": [{"address": "a:1"}, {"address": "b"}]}`, "static.endpoints[0].address static.endpoints[1].address"},
		{`"service": "s", "tls": {}`, "tls.server_name tls.server_name"},
		{`"service": "s", "tls": {"server_name": "a b"}`, "tls.server_name"},
		{`"service": "s", "error_breaker": {}`, "error_breaker.share"},
		{`"service": "s", "panic_threshold": 2`, "panic_threshold"},
		{`"service": "s", "health_check": {"http": {"path": "/a b", "host": "/"}}`, "health_check.http.host health_check.http.path"},
		{`"service": "s", "health_check": {}`, "health_check.how"},
		{`"service": "s", "outlier_detection": {"base_eject": "10s", "max_eject": "1s"}`, "outlier_detection.base_eject"},
		{`"service": "s", "balance": 9`, "balance"},
	} {
		if got := strings.Join(faultPaths(t, kinds, "Cluster", new(gatewayv1.Cluster), "{"+test.spec+"}"), " "); got != test.want {
			t.Errorf("%s: faults at %q, want %q", test.spec, got, test.want)
		}
	}
	for _, test := range []struct{ spec, want string }{
		{`"address": "0.0.0.0:8443", "tls": {"certificates": ["a"]}`, ""},
		{`"address": "[::]:80"`, ""},
		{`"address": "localhost:80"`, "address"},
		{`"address": "127.0.0.1:0"`, "address"},
		{`"address": "127.0.0.1:1", "tls": {"certificates": ["a", "a"]}`, "tls.certificates"},
		{`"address": "127.0.0.1:1", "tls": {}`, "tls.certificates"},
		{`"address": "127.0.0.1:1", "tls": {"certificates": ["a"], "require_client_certificate": true}`, "tls.require_client_certificate"},
	} {
		if got := strings.Join(faultPaths(t, kinds, "Listener", new(gatewayv1.Listener), "{"+test.spec+"}"), " "); got != test.want {
			t.Errorf("%s: faults at %q, want %q", test.spec, got, test.want)
		}
	}
}

// pair is a certificate and its key in PEM.
func pair(until time.Time) (chain, key string) {
	leaf := testcert.New().LeafUntil(until, "a.test")
	return string(leaf.Certificate), string(leaf.Key)
}

func inline(text string) *gatewayv1.Material {
	return &gatewayv1.Material{Source: &gatewayv1.Material_Inline{Inline: text}}
}

func certificate(chain, key *gatewayv1.Material) *gatewayv1.Secret {
	return &gatewayv1.Secret{Material: &gatewayv1.Secret_Certificate{Certificate: &gatewayv1.Certificate{Chain: chain, Key: key}}}
}

func TestSecretsThatCannotWorkAreRefused(t *testing.T) {
	kinds := builtins(t)
	chain, key := pair(time.Now().Add(time.Hour))
	old, oldKey := pair(time.Now().Add(-time.Minute))
	file := &gatewayv1.Material{Source: &gatewayv1.Material_File{File: "/etc/tls/key.pem"}}
	authority := func(text string) *gatewayv1.Secret {
		return &gatewayv1.Secret{Material: &gatewayv1.Secret_Authority{Authority: inline(text)}}
	}
	jwks := func(text string) *gatewayv1.Secret {
		return &gatewayv1.Secret{Material: &gatewayv1.Secret_Jwks{Jwks: inline(text)}}
	}
	for name, test := range map[string]struct {
		spec *gatewayv1.Secret
		want string // in the fault; empty: none
	}{
		"pair":            {certificate(inline(chain), inline(key)), ""},
		"files":           {certificate(file, file), ""},
		"chain and file":  {certificate(inline(chain), file), ""},
		"no key":          {certificate(inline(chain), nil), "certificate.key: value is required"},
		"empty key":       {certificate(inline(chain), inline("")), "certificate.key.inline: "},
		"key is no key":   {certificate(inline(chain), inline(chain)), "certificate.key.inline: holds no private key in PEM"},
		"other key":       {certificate(inline(chain), inline(oldKey)), "certificate.key.inline: does not fit the certificate"},
		"expired":         {certificate(inline(old), inline(oldKey)), "certificate.chain.inline: certificate 1 has expired at 2"},
		"no PEM":          {certificate(inline("x"), inline(key)), "certificate.chain.inline: holds no certificate"},
		"key in chain":    {certificate(inline(chain+key), inline(key)), "certificate.chain.inline: block 2 is a PRIVATE KEY"},
		"damaged":         {authority("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "authority.inline: certificate 1: "},
		"authorities":     {authority(chain + chain), ""},
		"key set":         {jwks(`{"keys": [{"kty": "RSA"}]}`), ""},
		"empty key set":   {jwks(`{"keys": []}`), "jwks.inline: holds no key"},
		"no JSON":         {jwks(`keys`), "jwks.inline: is no JSON Web Key Set"},
		"unknown key":     {jwks(`{"keys": [{"kty": "X"}]}`), `jwks.inline: key 1 is of the unknown type "X"`},
		"nothing":         {&gatewayv1.Secret{}, "material: exactly one field is required"},
		"relative file":   {certificate(inline(chain), &gatewayv1.Material{Source: &gatewayv1.Material_File{File: "key.pem"}}), "certificate.key.file: "},
		"plain key":       {&gatewayv1.Secret{Material: &gatewayv1.Secret_ApiKeys{ApiKeys: &gatewayv1.ApiKeys{Digests: map[string]string{"a": "hunter2"}}}}, "api_keys.digests"},
		"what is read is": {certificate(inline(chain), inline("redacted, SHA-256 00")), "certificate.key.inline: is what stands for"},
	} {
		_, faults := kinds.Check("Secret", pack(t, test.spec), "")
		got := ""
		if len(faults) > 0 {
			got = strings.TrimPrefix(faults.Error(), ".")
		}
		if (test.want == "") != (got == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
		if strings.Contains(got, "hunter2") || strings.Contains(got, key[30:60]) {
			t.Errorf("%s: the fault shows material: %s", name, got)
		}
	}
}

func TestRedactedSecretsShowThatTheyHaveChangedAndNothingElse(t *testing.T) {
	kinds := builtins(t)
	chain, key := pair(time.Now().Add(time.Hour))
	_, other := pair(time.Now().Add(time.Hour))
	read := func(spec *gatewayv1.Secret) *gatewayv1.Secret {
		out := new(gatewayv1.Secret)
		if err := kinds.Redact("Secret", pack(t, spec)).UnmarshalTo(out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	one, two := read(certificate(inline(chain), inline(key))), read(certificate(inline(chain), inline(other)))
	if one.GetCertificate().GetChain().GetInline() != chain {
		t.Error("the certificate is not shown")
	}
	shown := one.GetCertificate().GetKey().GetInline()
	if strings.Contains(shown, "PRIVATE") || !strings.HasPrefix(shown, "redacted") {
		t.Errorf("the key is shown as %q", shown)
	}
	if shown == two.GetCertificate().GetKey().GetInline() {
		t.Error("two keys look alike")
	}
	if got := kinds.Redact("Secret", &anypb.Any{TypeUrl: "x", Value: []byte(key)}); len(got.GetValue()) > 0 {
		t.Error("what cannot be read is shown")
	}
}

func TestReferencesOfEveryDepthAreFound(t *testing.T) {
	for _, test := range []struct {
		kind string
		spec proto.Message
		text string
		want string
	}{
		{
			"Route", new(gatewayv1.Route), `{"split": {"clusters": [{"cluster": "a"}, {"cluster": "b"}]}, "mirrors": [{"cluster": "c"}],
			"policy": {"external_authorization": {"cluster": "d"}, "jwt": {"secret": "e"}, "api_key": {"secret": "f"},
			"any_of": [{"jwt": {"secret": "g"}}, {"api_key": {"secret": "h"}}]}}`,
			"split.clusters[0].cluster=Cluster default/a split.clusters[1].cluster=Cluster default/b mirrors[0].cluster=Cluster default/c " +
				"policy.external_authorization.cluster=Cluster default/d policy.jwt.secret=Secret default/e policy.api_key.secret=Secret default/f " +
				"policy.any_of[0].jwt.secret=Secret default/g policy.any_of[1].api_key.secret=Secret default/h",
		},
		{"Cluster", new(gatewayv1.Cluster), `{"tls": {"authority": "a", "certificate": "b"}}`, "tls.authority=Secret default/a tls.certificate=Secret default/b"},
		{
			"Listener", new(gatewayv1.Listener), `{"tls": {"certificates": ["a", "b"], "client_authority": "c"}}`,
			"tls.certificates[0]=Secret default/a tls.certificates[1]=Secret default/b tls.client_authority=Secret default/c",
		},
	} {
		if err := protojson.Unmarshal([]byte(test.text), test.spec); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, target := range object.Targets(object.Key{Tenant: "main", Kind: test.kind, Name: "x"}, test.spec) {
			got = append(got, target.Field+"="+target.String())
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: %q, want %q", test.kind, got, test.want)
		}
	}
	if got := object.Referrers("Secret"); !slices.Equal(got, []string{"Route", "Cluster", "Listener"}) {
		t.Errorf("referrers of secrets: %q", got)
	}
}
