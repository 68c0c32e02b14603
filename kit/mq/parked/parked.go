// Package parked is the command line about messages that no attempt of a
// consumer took.
package parked

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/identity"
	"github.com/backlot-video/backlot/kit/mq"
	"github.com/backlot-video/backlot/kit/tool"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
)

// About says what the tool is for.
const About = "looks after messages that no attempt of a consumer took"

const (
	pageSize = 500
	limit    = time.Minute // of a verb
)

// Verbs are those of `backlot mq parked`.
func Verbs() []tool.Verb {
	const more = `It asks the broker itself, with the key of the installation: that of "backlot mq", of an own NATS, or the one
inside "backlot up --mq.listen 127.0.0.1:4222".`
	return []tool.Verb{
		{
			Name: "list", About: "lists parked messages, oldest first", More: more,
			Examples: []string{"list", "list --consumer storefront_ingest --json"}, New: newList,
		},
		{
			Name: "show", Args: "SEQUENCE", About: "shows a parked message whole, as JSON", More: more,
			Examples: []string{"show 7"}, New: newShow,
		},
		{
			Name: "replay", Args: "SEQUENCE...|all", About: "gives parked messages to their consumer again and removes them",
			More:     "Only the consumer that parked a message gets it again. Repair what it failed of first: else it is parked anew.\n" + more,
			Examples: []string{"replay 7 8", "replay --consumer storefront_ingest all"}, New: newReplay,
		},
		{
			Name: "drop", Args: "SEQUENCE...", About: "removes parked messages for good", More: more,
			Examples: []string{"drop 7"}, New: newDrop,
		},
	}
}

// run is one run of a verb.
type run struct {
	std                         *tool.Stdio
	url, dataDir, key, consumer string
	cert, certKey, ca           string
	json                        bool
}

func newRun(set *config.Set, std *tool.Stdio) *run {
	p := &run{std: std}
	set.String(&p.url, "mq-url", "nats://127.0.0.1:4222", "`address` of the broker")
	set.String(&p.dataDir, "data-dir", "./data", "`folder` of the running Backlot")
	set.String(&p.key, "cluster-key-file", "", "`file` with the installation's key; empty: cluster.key in the data folder")
	set.String(&p.cert, "tls-cert", "", "PEM `file` with a certificate, where the broker asks for one")
	set.String(&p.certKey, "tls-key", "", "PEM `file` with its key")
	set.String(&p.ca, "tls-ca", "", "PEM `file` with the authority that signs certificates")
	return p
}

// connected runs fn with a connection to the broker.
func (p *run) connected(ctx context.Context, fn func(context.Context, *mq.Client) error) (err error) {
	if p.key == "" {
		p.key = filepath.Join(p.dataDir, "cluster.key")
	}
	data, err := os.ReadFile(p.key)
	if err != nil {
		return fmt.Errorf("cluster-key-file: %w; name the folder of the running Backlot by --data-dir", err)
	}
	keys, err := identity.ParseKeys(data, time.Now)
	if err != nil {
		return fmt.Errorf("cluster-key-file: %w", err)
	}
	secure, err := p.tls()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	reach, cancelReach := context.WithTimeout(ctx, 5*time.Second)
	defer cancelReach()
	client, err := mq.Connect(reach, mq.ClientConfig{URL: p.url, Token: hex.EncodeToString(keys.Derive("mq")), TLS: secure})
	if err != nil {
		return fmt.Errorf("mq-url: %w; does the broker listen there?", err)
	}
	defer func() { err = errors.Join(err, client.Close()) }()
	return fn(ctx, client)
}

func (p *run) tls() (*tls.Config, error) {
	if p.cert == "" && p.certKey == "" && p.ca == "" {
		return nil, nil
	}
	certificate, err := tls.LoadX509KeyPair(p.cert, p.certKey)
	if err != nil {
		return nil, fmt.Errorf("tls-cert, tls-key: %w", err)
	}
	data, err := os.ReadFile(p.ca)
	if err != nil {
		return nil, fmt.Errorf("tls-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(data) {
		return nil, fmt.Errorf("tls-ca: no certificate in %s", p.ca)
	}
	return &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: pool, MinVersion: tls.VersionTLS13}, nil
}

// view is how a parked message is printed.
type view struct {
	Sequence  uint64          `json:"sequence"`
	Consumer  string          `json:"consumer"`
	Subject   string          `json:"subject"`
	ID        string          `json:"id,omitempty"`
	Reason    string          `json:"reason"`
	Attempts  int             `json:"attempts"`
	ParkedAt  time.Time       `json:"parked_at"`
	Envelope  json.RawMessage `json:"envelope,omitempty"`
	RawBase64 string          `json:"raw_base64,omitempty"`
}

func viewOf(m mq.Parked, whole bool) view {
	v := view{
		Sequence: m.Sequence, Consumer: m.Consumer, Subject: m.Subject, ID: m.ID,
		Reason: m.Reason, Attempts: m.Attempts, ParkedAt: m.At.UTC(),
	}
	if !whole {
		return v
	}
	envelope := new(eventv1.Envelope)
	err := proto.Unmarshal(m.Data, envelope)
	if err == nil && m.ID != "" {
		v.Envelope, err = tool.JSON(envelope)
	}
	if err != nil || m.ID == "" { // no envelope, or of an unknown type
		v.RawBase64 = base64.StdEncoding.EncodeToString(m.Data)
	}
	return v
}

func newList(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
	p := newRun(set, std)
	set.String(&p.consumer, "consumer", "", "`name` of a consumer; empty: all")
	set.Bool(&p.json, "json", false, "print JSON, a document a message")
	return func(ctx context.Context, args []string) error {
		if len(args) > 0 {
			return errors.New("want no arguments; try --help")
		}
		return p.connected(ctx, p.list)
	}
}

func (p *run) list(ctx context.Context, client *mq.Client) error {
	rows := [][]string{{"SEQUENCE", "CONSUMER", "PARKED", "TRIES", "SUBJECT", "REASON"}}
	err := p.each(ctx, client, func(m mq.Parked) error {
		if p.json {
			return tool.WriteJSON(p.std.Out, viewOf(m, false))
		}
		rows = append(rows, []string{
			strconv.FormatUint(m.Sequence, 10), m.Consumer, tool.Time(m.At.UnixMicro()), strconv.Itoa(m.Attempts), m.Subject, m.Reason,
		})
		return nil
	})
	if err != nil || p.json {
		return err
	}
	return tool.WriteTable(p.std.Out, rows)
}

// each calls fn for every parked message that there is when it begins, at most.
func (p *run) each(ctx context.Context, client *mq.Client, fn func(mq.Parked) error) error {
	begun := time.Now()
	for from := uint64(1); ; {
		page, err := client.ListParked(ctx, p.consumer, from, pageSize)
		if err != nil {
			return err
		}
		for _, m := range page {
			if m.At.After(begun) { // parked anew
				return nil
			}
			if err := fn(m); err != nil {
				return err
			}
			from = m.Sequence + 1
		}
		if len(page) < pageSize {
			return nil
		}
	}
}

func newShow(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
	p := newRun(set, std)
	return func(ctx context.Context, args []string) error {
		sequences, err := sequencesOf(args)
		if err != nil {
			return err
		}
		return p.connected(ctx, func(ctx context.Context, client *mq.Client) error {
			for _, sequence := range sequences {
				m, err := client.GetParked(ctx, sequence)
				if err != nil {
					return err
				}
				if err := tool.WriteJSON(std.Out, viewOf(m, true)); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

func newReplay(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
	p := newRun(set, std)
	set.String(&p.consumer, "consumer", "", "`name` of the consumer that `all` is about; empty: every one")
	return func(ctx context.Context, args []string) error {
		if len(args) == 1 && args[0] == "all" {
			return p.connected(ctx, func(ctx context.Context, client *mq.Client) error {
				return p.each(ctx, client, func(m mq.Parked) error { return p.do(ctx, m.Sequence, client.ReplayParked, "replayed") })
			})
		}
		return p.forEach(ctx, args, (*mq.Client).ReplayParked, "replayed")
	}
}

func newDrop(set *config.Set, std *tool.Stdio) func(context.Context, []string) error {
	p := newRun(set, std)
	return func(ctx context.Context, args []string) error {
		return p.forEach(ctx, args, (*mq.Client).DropParked, "dropped")
	}
}

func (p *run) forEach(ctx context.Context, args []string, change func(*mq.Client, context.Context, uint64) error, done string) error {
	sequences, err := sequencesOf(args)
	if err != nil {
		return err
	}
	return p.connected(ctx, func(ctx context.Context, client *mq.Client) error {
		for _, sequence := range sequences {
			one := func(ctx context.Context, sequence uint64) error { return change(client, ctx, sequence) }
			if err := p.do(ctx, sequence, one, done); err != nil {
				return err
			}
		}
		return nil
	})
}

func (p *run) do(ctx context.Context, sequence uint64, change func(context.Context, uint64) error, done string) error {
	if err := change(ctx, sequence); err != nil {
		return err
	}
	_, err := fmt.Fprintf(p.std.Out, "%d %s\n", sequence, done)
	return err
}

func sequencesOf(args []string) ([]uint64, error) {
	if len(args) == 0 {
		return nil, errors.New("want sequences of parked messages, as list shows them; try --help")
	}
	sequences := make([]uint64, len(args))
	for i, arg := range args {
		var err error
		if sequences[i], err = strconv.ParseUint(arg, 10, 64); err != nil || sequences[i] == 0 {
			return nil, fmt.Errorf("sequence %q: not a number above 0", arg)
		}
	}
	return sequences, nil
}
