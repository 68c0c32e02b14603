package service

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/identity"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
)

// TestSecretsAreInNoLogAndNoError writes secrets that are taken, refused,
// rolled back and drafted, at the most talkative level of logs.
func TestSecretsAreInNoLogAndNoError(t *testing.T) {
	const planted = "PLANTED-SECRET"
	p := run(t, t.TempDir(), "--log-level", "debug")
	operator := p.config(identity.Operator)
	ctx := t.Context()
	secret := func(inline string) proto.Message {
		return &gatewayv1.Secret{Material: &gatewayv1.Secret_Jwks{Jwks: &gatewayv1.Material{Source: &gatewayv1.Material_Inline{Inline: inline}}}}
	}
	good := `{"keys":[{"kty":"oct","k":"` + planted + `"}]}`
	first, err := operator.Apply(ctx, put(t, "Secret", "s", secret(good)))
	if err != nil {
		t.Fatal(err)
	}
	second, err := operator.Apply(ctx, put(t, "Secret", "s", secret(strings.ReplaceAll(good, planted, planted+"-2"))))
	if err != nil {
		t.Fatal(err)
	}
	undo := &configstorev1.RollbackRequest{What: &configstorev1.RollbackRequest_ReleaseId{ReleaseId: second.GetRelease().GetId()}}
	if _, err := operator.Rollback(ctx, undo); err != nil {
		t.Fatal(err)
	}
	for name, request := range map[string]*configstorev1.ApplyRequest{
		"broken":   put(t, "Secret", "s", secret(`{"keys": `+planted)),
		"no keys":  put(t, "Secret", "s", secret(`"`+planted+`"`)),
		"stale":    expecting(first.GetRelease().GetRevision(), put(t, "Secret", "s", secret(good+" "))),
		"bad name": put(t, "Secret", "S!", secret(good)),
		"certificate": put(t, "Secret", "c", &gatewayv1.Secret{Material: &gatewayv1.Secret_Certificate{Certificate: &gatewayv1.Certificate{
			Chain: &gatewayv1.Material{Source: &gatewayv1.Material_Inline{Inline: planted}},
			Key:   &gatewayv1.Material{Source: &gatewayv1.Material_Inline{Inline: planted}},
		}}}),
	} {
		if _, err := operator.Apply(ctx, request); err == nil || strings.Contains(err.Error(), planted) {
			t.Errorf("%s: %v, want a refusal that does not tell the secret", name, err)
		}
	}
	p.stop()
	if logged := p.logs.String(); strings.Contains(logged, planted) || !strings.Contains(logged, "level=DEBUG") {
		t.Errorf("the secret is in the log, or nothing was logged:\n%s", logged)
	}
}
