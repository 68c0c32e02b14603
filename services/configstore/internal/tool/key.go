package tool

import (
	"context"
	"fmt"
	"time"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/tool"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/seal"
)

// longestRekey is what encrypting everything anew may take.
const longestRekey = time.Hour

func keyVerb() tool.Verb {
	return tool.Verb{
		Name: "key", Args: "FILE", About: "puts a new key into a key file, or makes one",
		More: "Secrets are encrypted with a key of this file; no backup of the store holds it: keep a copy elsewhere. A member alone makes\n" +
			"DATA-DIR/configstore/secret.key itself. Of several each needs the same file (--configstore.key-file). The new key comes\n" +
			"first, and is in force once all members were started with it and `rekey` is called.",
		Examples: []string{"key secret.key"},
		New: func(_ *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			return func(_ context.Context, args []string) error {
				if err := tool.Want(1, "one FILE")(args); err != nil {
					return err
				}
				id, err := seal.Add(args[0])
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(std.Out, "%s: key %s is the newest; give the file to every member, start them anew, and `rekey`\n", args[0], id)
				return err
			}
		},
	}
}

func rekeyVerb() tool.Verb {
	return tool.Verb{
		Name: "rekey", About: "encrypts all secrets with the newest key of the key file",
		More: "Writes and reads go on meanwhile. Cut off, it goes on where it was when it is called again. Revisions of secrets rise, so\n" +
			"drafts of them that were made before have to be made anew. Keep older keys in the file until the revision that is printed\n" +
			"is compacted (--configstore.history-revisions), and elsewhere for as long as backups from before are kept.",
		Examples: []string{"rekey"},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			r := &remote{}
			r.register(set, std)
			return r.Online(tool.Want(0, "no arguments"), func(ctx context.Context, _ []string) error { return r.rekey(ctx) })
		},
	}
}

func (r *remote) rekey(ctx context.Context) error {
	stream, err := r.cluster(longestRekey).Rekey(ctx, &configstorev1.RekeyRequest{})
	if err != nil {
		return err
	}
	defer stream.Close()
	for stream.Receive() {
		told := stream.Msg()
		if !told.GetFinished() {
			_, _ = fmt.Fprintf(r.std.Err, "%d of %d\n", told.GetDone(), told.GetTotal())
			continue
		}
		if r.json {
			return tool.WriteJSON(r.std.Out, told)
		}
		_, err := fmt.Fprintf(r.std.Out, "all secrets are under key %s, %s written anew; what was before revision %d may need older keys\n",
			told.GetKeyId(), many(int(told.GetDone()), "value"), told.GetRevision())
		return err
	}
	if err := stream.Err(); err != nil {
		return err
	}
	return fmt.Errorf("rekey: the answer ended early; call it again")
}
