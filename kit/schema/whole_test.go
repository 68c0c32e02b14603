package schema

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	coordinatorv1 "github.com/backlot-video/backlot/proto/gen/backlot/coordinator/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
)

// What is called most is to be spared protovalidate altogether: a rule that is not
// known here would cost each call of it some microseconds, and fail nothing.
func TestRulesOfTheCommonestCallsAreKnown(t *testing.T) {
	for _, message := range []proto.Message{
		new(settlementv1.CreateTransfersRequest), new(coordinatorv1.SubmitRequest), new(structpb.Value),
	} {
		if wholeOf(message.ProtoReflect().Descriptor(), nil) == nil {
			t.Errorf("a rule of %s is not known", message.ProtoReflect().Descriptor().FullName())
		}
	}
}
