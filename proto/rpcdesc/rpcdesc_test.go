package rpcdesc_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	optionsv1 "github.com/backlot-video/backlot/proto/gen/backlot/options/v1"
	tccv1 "github.com/backlot-video/backlot/proto/gen/backlot/tcc/v1"
	"github.com/backlot-video/backlot/proto/rpcdesc"
)

var errRefused = connect.NewError(connect.CodeFailedPrecondition, errors.New("no funds"))

// participant tries and cancels, and refuses to confirm.
type participant struct{}

func (participant) Try(context.Context, *tccv1.TryRequest) (*tccv1.TryResponse, error) {
	return &tccv1.TryResponse{}, nil
}

func (participant) Confirm(context.Context, *tccv1.ConfirmRequest) (*tccv1.ConfirmResponse, error) {
	return nil, errRefused
}

func (participant) Cancel(context.Context, *tccv1.CancelRequest) (*tccv1.CancelResponse, error) {
	return &tccv1.CancelResponse{}, nil
}

// conn calls impl without any chain.
type conn struct{ impl any }

func (c conn) Call(ctx context.Context, method *rpcdesc.Method, req, res proto.Message) error {
	got, err := method.Invoke(ctx, c.impl, req)
	if err == nil {
		proto.Merge(res, got)
	}
	return err
}

func TestClientReachesImplementation(t *testing.T) {
	client := tccv1.NewParticipantServiceClient(conn{participant{}})
	var _ tccv1.ParticipantServiceServer = client
	if _, err := client.Try(t.Context(), &tccv1.TryRequest{}); err != nil {
		t.Errorf("try: %v", err)
	}
	if _, err := client.Confirm(t.Context(), &tccv1.ConfirmRequest{}); connect.CodeOf(err) != connect.CodeFailedPrecondition {
		t.Errorf("confirm: got %v", err)
	}
}

func TestInvokeReturnsNoTypedNil(t *testing.T) {
	method := tccv1.ParticipantServiceDesc.Method("Confirm")
	res, err := method.Invoke(t.Context(), participant{}, method.NewRequest())
	if res != nil || !errors.Is(err, errRefused) {
		t.Errorf("got %v, %v", res, err)
	}
}

func TestMethodTellsWhatTheProtoSays(t *testing.T) {
	watch := configstorev1.ConfigServiceDesc.Method("Watch")
	get := configstorev1.ConfigServiceDesc.Method("Get")
	if !watch.Stream || watch.Invoke != nil || get.Stream || get.Invoke == nil {
		t.Error("Watch alone is a stream")
	}
	if get.Idempotency != connect.IdempotencyNoSideEffects {
		t.Errorf("Get: idempotency %v", get.Idempotency)
	}
	if !get.Allows(optionsv1.Principal_PRINCIPAL_OPERATOR) || get.Allows(optionsv1.Principal_PRINCIPAL_VIEWER) {
		t.Errorf("Get: access %v", get.Access)
	}
	if want := "/backlot.configstore.v1.ConfigService/Get"; get.Procedure() != want {
		t.Errorf("procedure %s, want %s", get.Procedure(), want)
	}
	for _, method := range configstorev1.ConfigServiceDesc.Methods {
		schema := method.Schema()
		if schema == nil || schema.Input() != method.NewRequest().ProtoReflect().Descriptor() ||
			schema.Output() != method.NewResponse().ProtoReflect().Descriptor() {
			t.Errorf("%s: messages are not those of the schema", method.Name)
		}
	}
}

func TestConnectServesJSON(t *testing.T) {
	path, handler := tccv1.ParticipantServiceDesc.Connect(participant{})
	mux := http.NewServeMux()
	mux.Handle(path, handler)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	tests := []struct {
		method string
		status int
		body   string
	}{
		{"Try", http.StatusOK, "{}"},
		{"Confirm", http.StatusBadRequest, `"code":"failed_precondition"`},
		{"NoSuch", http.StatusNotFound, ""},
	}
	for _, test := range tests {
		res, err := http.Post(server.URL+path+test.method, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		if err = errors.Join(err, res.Body.Close()); err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != test.status || !strings.Contains(string(body), test.body) {
			t.Errorf("%s: got %d %s", test.method, res.StatusCode, body)
		}
	}
}
