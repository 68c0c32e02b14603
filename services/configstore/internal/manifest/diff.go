package manifest

import (
	"fmt"

	"github.com/aymanbagabas/go-udiff"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

// Title names an object for people.
func Title(key *configstorev1.Key) string {
	if namespace := key.GetNamespace(); namespace != "" && namespace != "default" {
		return key.GetKind() + " " + namespace + "/" + key.GetName()
	}
	return key.GetKind() + " " + key.GetName()
}

// Diff is a unified diff of an object's documents before and after, either of
// them nil where it does not exist; empty where nothing differs. What is secret
// is shown by digests.
func (k *Kinds) Diff(before, after *configstorev1.Object) (string, error) {
	return k.DiffAs(before, after, "now", "then")
}

// DiffAs is Diff with other words for before and after.
func (k *Kinds) DiffAs(before, after *configstorev1.Object, was, is string) (string, error) {
	texts := [2]string{}
	title := ""
	for i, o := range []*configstorev1.Object{before, after} {
		if o == nil {
			continue
		}
		text, err := k.text(o, true)
		if err != nil {
			return "", err
		}
		texts[i], title = text, Title(o.GetKey())
	}
	labels := [2]string{title + " (" + was + ")", title + " (" + is + ")"}
	if before == nil {
		labels[0] = "/dev/null"
	}
	if after == nil {
		labels[1] = "/dev/null"
	}
	diff, err := udiff.ToUnified(labels[0], labels[1], texts[0], udiff.Strings(texts[0], texts[1]), 3)
	if err != nil {
		return "", fmt.Errorf("%s: %w", title, err)
	}
	return diff, nil
}
