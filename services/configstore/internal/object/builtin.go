package object

import (
	"google.golang.org/protobuf/proto"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	identityv1 "github.com/backlot-video/backlot/proto/gen/backlot/identity/v1"
	policyv1 "github.com/backlot-video/backlot/proto/gen/backlot/policy/v1"
	recommenderv1alpha1 "github.com/backlot-video/backlot/proto/gen/backlot/recommender/v1alpha1"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	transcoderv1alpha1 "github.com/backlot-video/backlot/proto/gen/backlot/transcoder/v1alpha1"
)

// builtin are the messages whose kinds are named like themselves.
var builtin = []proto.Message{
	(*configstorev1.Grant)(nil),
	(*configstorev1.Instance)(nil),
	(*gatewayv1.Cluster)(nil),
	(*gatewayv1.Listener)(nil),
	(*gatewayv1.Route)(nil),
	(*gatewayv1.Secret)(nil),
	(*identityv1.VerificationKey)(nil),
	(*policyv1.CallPolicy)(nil),
	(*recommenderv1alpha1.Blend)(nil),
	(*rulesv1.FactType)(nil),
	(*rulesv1.RateTable)(nil),
	(*rulesv1.RuleList)(nil),
	(*rulesv1.Ruleset)(nil),
	(*rulesv1.RulesetVersion)(nil),
	(*settlementv1.SplitPolicy)(nil),
	(*transcoderv1alpha1.Ladder)(nil),
}

// Builtin prepares the kinds that Backlot's services use.
func (k *Kinds) Builtin() ([]*Kind, error) {
	kinds := make([]*Kind, len(builtin))
	for n, message := range builtin {
		descriptor := message.ProtoReflect().Descriptor()
		kind, err := k.Prepare(string(descriptor.Name()), string(descriptor.FullName()), DescriptorSet(descriptor))
		if err != nil {
			return nil, err
		}
		kinds[n] = kind
	}
	return kinds, nil
}
