package tool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/tool"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
)

// longestSave is what saving may take.
const longestSave = time.Hour

func saveVerb() tool.Verb {
	return tool.Verb{
		Name: "save", Args: "FILE", About: "saves the whole store into a file, while it goes on",
		More: "The file is of etcd's form: etcdutl reads it too. It holds everything; secrets in it are encrypted, and the\n" +
			"key file is not in it: keep a copy of that elsewhere, without it they are lost.",
		Examples: []string{"save configstore.snapshot"},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			r := &remote{}
			r.register(set, std)
			return r.Online(tool.Want(1, "one FILE"), func(ctx context.Context, args []string) error { return r.save(ctx, args[0]) })
		},
	}
}

// save writes beside the file and renames, so that a file is whole.
func (r *remote) save(ctx context.Context, path string) (err error) {
	if _, err := os.Stat(path); err == nil {
		return fmt.Errorf("%s exists", path)
	}
	stream, err := r.cluster(longestSave).SaveSnapshot(ctx, &configstorev1.SaveSnapshotRequest{})
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".snapshot-*")
	if err != nil {
		return errors.Join(err, stream.Close())
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	written, shown := int64(0), time.Now()
	for stream.Receive() {
		n, err := file.Write(stream.Msg().GetData())
		written += int64(n)
		if err != nil {
			return errors.Join(err, stream.Close(), file.Close())
		}
		if time.Since(shown) > time.Second {
			shown = time.Now()
			_, _ = fmt.Fprintf(r.std.Err, "%d of %d MiB\n", written/mebibyte, stream.Msg().GetTotalBytes()/mebibyte)
		}
	}
	if err := errors.Join(stream.Err(), stream.Close(), file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	_, err = fmt.Fprintf(r.std.Out, "%s: %d bytes\n", path, written)
	return err
}

func restoreVerb() tool.Verb {
	return tool.Verb{
		Name: "restore", Args: "FILE", About: "makes a data folder of a saved file, for a new cluster",
		More: "Stop every member first and move the old folders away. Restore the same file for each member, with its name and address and\n" +
			"the list of all; a lone member needs none of these. Revisions go on a million above, so that nobody who had seen what was\n" +
			"lost takes older for newer; informers list anew. Secrets need the key file of the old members: bring it to\n" +
			"DATA-DIR/configstore/secret.key, or give it as --configstore.key-file.",
		Examples: []string{
			"restore configstore.snapshot --data-dir ./data",
			"restore configstore.snapshot --member a --peer-url https://10.0.0.1:8102 --members a=https://10.0.0.1:8102,b=https://10.0.0.2:8102",
		},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			var dataDir, member, url, members, token string
			set.String(&dataDir, "data-dir", "./data", "`folder` of the Backlot that is to be started with it")
			set.String(&member, "member", "backlot", "`name` of the member")
			set.String(&url, "peer-url", "", "its `address` for the others; empty: a lone member")
			set.String(&members, "members", "", "all of them as `name=url,...`; empty: this one")
			set.String(&token, "cluster-token", "backlot", "`name` of the cluster")
			return func(_ context.Context, args []string) error {
				if err := tool.Want(1, "one FILE")(args); err != nil {
					return err
				}
				cluster := engine.Cluster{Name: member, Token: token}
				if url != "" {
					cluster.PeerListen, cluster.PeerURL = "127.0.0.1:0", url
				}
				if members != "" {
					cluster.Members = strings.Split(members, ",")
				}
				dir := filepath.Join(dataDir, "configstore", "etcd")
				if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
					return err
				}
				if err := engine.Restore(args[0], dir, cluster, slog.New(slog.NewTextHandler(std.Err, nil))); err != nil {
					return err
				}
				_, err := fmt.Fprintf(std.Out, "%s is restored; start Backlot with --data-dir %s\n", dir, dataDir)
				return err
			}
		},
	}
}

func defragVerb() tool.Verb {
	return tool.Verb{
		Name: "defrag", About: "gives free space of the member's file back; it waits meanwhile",
		More:     "It is done by itself where half of a file is free. Do one member after the other.",
		Examples: []string{"defrag"},
		New: func(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
			r := &remote{}
			r.register(set, std)
			return r.Online(tool.Want(0, "no arguments"), func(ctx context.Context, _ []string) error {
				done, err := r.cluster(longestSave).Defragment(ctx, &configstorev1.DefragmentRequest{})
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(std.Out, "%d MiB, was %d\n", done.GetAfterBytes()/mebibyte, done.GetBeforeBytes()/mebibyte)
				return err
			})
		},
	}
}
