package tool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/tool"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
)

func editVerb() tool.Verb {
	return tool.Verb{
		Name: "edit", Args: "KIND NAME", About: "opens an object in an editor and applies what came of it",
		More: "The editor is that of $VISUAL or $EDITOR, else vi. Where something is wrong the editor opens again with what is wrong at\n" +
			"its top; saving without a change gives up.",
		Examples: []string{"edit route api-rules --reason 'longer timeout'"},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			s, reason, draft := &store{}, "", false
			s.registerObjects(set, std)
			set.String(&reason, "reason", "", "`why`; it is kept in the history")
			set.Bool(&draft, "draft", false, "make a draft of it, which others review")
			return s.known(tool.Want(2, "KIND and NAME"), func(ctx context.Context, args []string) error {
				return s.edit(ctx, s.key(args[0], args[1]), reason, draft)
			})
		},
	}
}

func (s *store) edit(ctx context.Context, key *configstorev1.Key, reason string, draft bool) error {
	response, err := s.config().Get(ctx, &configstorev1.GetRequest{Key: key})
	if err != nil {
		return err
	}
	before := response.GetObject()
	text, err := s.kinds.Text(before)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp("", "backlot-*.yaml")
	if err != nil {
		return err
	}
	name := file.Name()
	defer os.Remove(name)
	if err := file.Close(); err != nil {
		return err
	}
	for {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return err
		}
		if err := s.openEditor(ctx, name); err != nil {
			return err
		}
		written, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if string(written) == text {
			_, err := fmt.Fprintln(s.std.Out, "nothing was changed")
			return err
		}
		err = s.applyEdited(ctx, before, string(written), reason, draft)
		if err == nil {
			return nil
		}
		text = "# " + strings.ReplaceAll(tool.Plain(err).Error(), "\n", "\n# ") + "\n" + withoutComments(string(written))
	}
}

func (s *store) applyEdited(ctx context.Context, before *configstorev1.Object, text, reason string, draft bool) error {
	objects, err := s.kinds.Read("edited", strings.NewReader(text))
	if err != nil {
		return err
	}
	if len(objects) != 1 || objects[0].GetKey().GetKind() != before.GetKey().GetKind() || objects[0].GetKey().GetName() != before.GetKey().GetName() {
		return errors.New("keep the one object, its kind and its name")
	}
	p := new(plan)
	change := &configstorev1.Change{Change: &configstorev1.Change_Put{Put: objects[0]}, ExpectedRevision: before.GetRevision()}
	if err := p.add(s.kinds, before, objects[0], change); err != nil {
		return err
	}
	switch {
	case len(p.changes) == 0:
		_, err := fmt.Fprintln(s.std.Out, "nothing differs")
		return err
	case draft:
		return s.makeDraft(ctx, p, reason)
	default:
		return s.apply(ctx, p, reason, false)
	}
}

// withoutComments drops the lines at the top that told what was wrong before.
func withoutComments(text string) string {
	for strings.HasPrefix(text, "#") {
		_, text, _ = strings.Cut(text, "\n")
	}
	return text
}

func (s *store) openEditor(ctx context.Context, file string) error {
	editor := "vi"
	for _, entry := range s.std.Environ {
		if value, found := strings.CutPrefix(entry, "EDITOR="); found && value != "" && editor == "vi" {
			editor = value
		}
		if value, found := strings.CutPrefix(entry, "VISUAL="); found && value != "" {
			editor = value
		}
	}
	words := strings.Fields(editor)
	command := exec.CommandContext(ctx, words[0], append(words[1:], file)...) //nolint:gosec // the user's own editor
	command.Stdin, command.Stdout, command.Stderr = s.std.In, s.std.Out, s.std.Err
	if err := command.Run(); err != nil {
		return fmt.Errorf("editor %q: %w", editor, err)
	}
	return nil
}
