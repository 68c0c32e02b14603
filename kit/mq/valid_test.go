package mq

import (
	"testing"

	"google.golang.org/protobuf/types/known/anypb"

	"buf.build/go/protovalidate"

	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
)

func FuzzPlainEnvelopeKeepsTheContract(f *testing.F) {
	const id = "01a20623-2cdf-7131-809b-203c2862390c"
	f.Add(id, "main", "backlot.test.counted.v1", "test", "a")
	f.Add("01A20623-2cdf-7131-809b-203c2862390c", "main", "backlot.test.counted.v12", "test", "a")
	f.Add("01a20623-2cdf-7131-809b-203c2862390-", "", "backlot.te.st.counted.v1", "", "")
	f.Add(id, "main", "backlot.test.counted_.v", "test", "ä")
	f.Add(id, "main", "backlot..counted.v1.v2\n", "test", "\xff")
	f.Fuzz(func(t *testing.T, id, tenant, factType, source, key string) {
		envelope := &eventv1.Envelope{Id: id, TenantId: tenant, Type: factType, Source: source, Key: key, Data: &anypb.Any{}}
		if !plain(envelope) {
			return
		}
		if err := protovalidate.Validate(envelope); err != nil {
			t.Error(err)
		}
	})
}

func TestUsualEnvelopeIsPlain(t *testing.T) {
	usual := &eventv1.Envelope{
		Id: "01a20623-2cdf-7131-809b-203c2862390c", TenantId: "main", Type: "backlot.storefront.order_paid.v1",
		Source: "storefront", Key: "a", Data: &anypb.Any{},
	}
	if !plain(usual) || valid(usual) != nil {
		t.Error("it is not")
	}
}
