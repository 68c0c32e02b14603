package kubernetes

import (
	"encoding/json"

	"github.com/backlot-video/backlot/kit/informer"
)

// message is a pointer to a generated type of k8s.io/api.
type message[M any] interface {
	*M
	Marshal() ([]byte, error)
	Unmarshal(raw []byte) error
}

type typed[M any, P message[M]] struct{}

// Typed returns a decoder of generated types, as in Typed[corev1.Pod]().
func Typed[M any, P message[M]]() informer.Keeper[*M] { return typed[M, P]{} }

func (t typed[M, P]) Decode(item *informer.Item) (*M, error) {
	if item.Encoding == informer.JSON {
		value := new(M)
		return value, json.Unmarshal(item.Spec, value)
	}
	return t.Restore(item.Spec)
}

func (typed[M, P]) Encode(value *M) ([]byte, error) { return P(value).Marshal() }

func (typed[M, P]) Restore(raw []byte) (*M, error) {
	value := new(M)
	return value, P(value).Unmarshal(raw)
}
