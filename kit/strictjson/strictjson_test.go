package strictjson_test

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/backlot-video/backlot/kit/strictjson"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	_ "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1" // types in Any
)

const inAny = `{"reason":"r","changes":[{"put":{"key":{"kind":"Cluster","name":"a"},"labels":{"any":"thing"},"spec":{` +
	`"@type":"type.googleapis.com/backlot.gateway.v1.Cluster","connectTimeout":"1s","static":{%}}}}]}`

func TestUnmarshal(t *testing.T) {
	for name, c := range map[string]struct {
		text    string
		into    proto.Message
		unknown string // path
		other   string // part of another error
	}{
		"valid":        {strings.Replace(inAny, "%", `"addresses":["a:1"]`, 1), new(configstorev1.ApplyRequest), "", ""},
		"at the top":   {`{"reasons":"r"}`, new(configstorev1.ApplyRequest), "reasons", ""},
		"in a list":    {`{"changes":[{},{"putt":{}}]}`, new(configstorev1.ApplyRequest), "changes[1].putt", ""},
		"in Any":       {strings.Replace(inAny, "%", `"adresses":["a:1"]`, 1), new(configstorev1.ApplyRequest), "changes[0].put.spec.static.adresses", ""},
		"by its names": {`{"dry_run":true,"dryRun2":1}`, new(configstorev1.ApplyRequest), "dryRun2", ""},
		"no field":     {`{"reason":5}`, new(configstorev1.ApplyRequest), "", "invalid value for string field reason: 5"},
		"unknown type": {`{"changes":[{"put":{"spec":{"@type":"type.googleapis.com/no.Such","a":1}}}]}`, new(configstorev1.ApplyRequest), "", "no.Such"},
		"no JSON":      {`{`, new(configstorev1.ApplyRequest), "", "unexpected"},
		"own form":     {`{"uninterpretedOption":[{"doubleValue":1,"b":1}]}`, new(descriptorpb.FieldOptions), "", "unknown field"},
	} {
		t.Run(name, func(t *testing.T) {
			err := strictjson.Unmarshal([]byte(c.text), c.into, nil)
			var unknown *strictjson.UnknownFieldError
			switch {
			case c.unknown != "":
				if !errors.As(err, &unknown) || unknown.Path != c.unknown || !strings.HasPrefix(err.Error(), c.unknown+": unknown field of backlot.") {
					t.Errorf("got %v", err)
				}
			case c.other != "":
				if err == nil || errors.As(err, &unknown) || !strings.Contains(err.Error(), c.other) || strings.HasPrefix(err.Error(), "proto:") {
					t.Errorf("got %v", err)
				}
			case err != nil:
				t.Error(err)
			}
		})
	}
}

func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(inAny))
	f.Add([]byte(`{"changes":[{"put":{"spec":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m := new(configstorev1.ApplyRequest)
		if strictjson.Unmarshal(text, m, nil) != nil {
			return
		}
		if _, err := proto.Marshal(m); err != nil {
			t.Errorf("what was read cannot be written: %v", err)
		}
	})
}
