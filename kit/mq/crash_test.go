package mq_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/backlot-video/backlot/kit/database"
	"github.com/backlot-video/backlot/kit/database/databasetest"
	"github.com/backlot-video/backlot/kit/mq"
	"github.com/backlot-video/backlot/kit/testport"
	eventv1 "github.com/backlot-video/backlot/proto/gen/backlot/event/v1"
)

// The crash test runs a broker, a producer and a consumer as processes and
// kills them. The producer notes each number it told, in the transaction that
// tells it; the consumer each that it heard, in the transaction of its inbox.
const numbers = `CREATE TABLE numbers (place INTEGER PRIMARY KEY, key TEXT NOT NULL, n BIGINT NOT NULL);
`

func openNumbers(ctx context.Context, dir string) (*database.DB, error) {
	migrations, err := databasetest.With("kit", numbers)
	if err != nil {
		return nil, err
	}
	return database.Open(ctx, database.Config{Service: "numbers", DataDir: dir}, migrations)
}

func readNumbers(t *testing.T, dir string) (all map[string][]int, total int) {
	t.Helper()
	db, err := openNumbers(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Read().QueryContext(t.Context(), "SELECT key, n FROM numbers ORDER BY place")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all = map[string][]int{}
	for rows.Next() {
		var key string
		var n int
		if err := rows.Scan(&key, &n); err != nil {
			t.Fatal(err)
		}
		all[key] = append(all[key], n)
		total++
	}
	return all, total
}

func note(ctx context.Context, tx *sql.Tx, key string, n int) error {
	_, err := tx.ExecContext(ctx, "INSERT INTO numbers (key, n) VALUES ($1, $2)", key, n)
	return err
}

// play is the main function of a process of the crash test. It ends when its
// standard input does, so with the test; each line it reads asks for one more
// step, and each line it writes tells of one.
func play(role string) {
	ctx, cancel := context.WithCancel(context.Background())
	steps := make(chan struct{}, 1<<16)
	go func() {
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			steps <- struct{}{}
		}
		cancel()
	}()
	roles := map[string]func(ctx context.Context, steps <-chan struct{}) error{
		"server": playServer, "producer": playProducer, "consumer": playConsumer,
	}
	if err := roles[role](ctx, steps); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func playServer(ctx context.Context, _ <-chan struct{}) error {
	server, err := mq.NewServer(mq.ServerConfig{DataDir: os.Getenv("BACKLOT_MQ_DIR"), Listen: os.Getenv("BACKLOT_MQ_LISTEN")})
	if err != nil {
		return err
	}
	fmt.Println("serving")
	<-ctx.Done()
	return server.Close()
}

// station is what producer and consumer begin with.
func station(ctx context.Context) (*database.DB, *mq.Client, error) {
	db, err := openNumbers(ctx, os.Getenv("BACKLOT_MQ_DIR"))
	if err != nil {
		return nil, nil, err
	}
	client, err := mq.Connect(ctx, mq.ClientConfig{
		URL: "nats://" + os.Getenv("BACKLOT_MQ_LISTEN"), Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	return db, client, err
}

func playProducer(ctx context.Context, steps <-chan struct{}) error {
	db, client, err := station(ctx)
	if err != nil {
		return err
	}
	outbox := mq.NewOutbox(mq.OutboxConfig{Service: "numbers", DB: db, Client: client, Batch: 8})
	relayed := make(chan error, 1)
	go func() { relayed <- outbox.Run(ctx) }()
	for {
		select {
		case <-steps:
		case <-ctx.Done():
			return <-relayed
		}
		err := db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
			var n int
			if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM numbers").Scan(&n); err != nil {
				return err
			}
			key := strconv.Itoa(n % 5)
			envelope, err := mq.NewEnvelope("main", factType, key, wrapperspb.Int64(int64(n)))
			if err != nil {
				return err
			}
			if err := note(ctx, tx, key, n); err != nil {
				return err
			}
			return outbox.Add(ctx, tx, envelope)
		})
		if err != nil && ctx.Err() == nil {
			return err
		}
		fmt.Println("told")
	}
}

func playConsumer(ctx context.Context, _ <-chan struct{}) error {
	db, client, err := station(ctx)
	if err != nil {
		return err
	}
	hear := func(ctx context.Context, envelopes []*eventv1.Envelope) error {
		err := db.Write(ctx, func(ctx context.Context, tx *sql.Tx) error {
			fresh, err := mq.OnceAll(ctx, tx, "numbers_all", envelopes)
			for _, envelope := range fresh {
				err = errors.Join(err, note(ctx, tx, envelope.GetKey(), number(envelope)))
			}
			return err
		})
		if err == nil {
			fmt.Print(strings.Repeat("heard\n", len(envelopes)))
		}
		return err
	}
	consumer := mq.Consumer{Durable: "numbers_all", Subjects: mq.Subjects(factType), Lanes: 2}
	if os.Getenv("BACKLOT_MQ_BATCHES") == "" {
		consumer.Handler = func(ctx context.Context, envelope *eventv1.Envelope) error {
			return hear(ctx, []*eventv1.Envelope{envelope})
		}
	} else {
		consumer.Batch = hear
	}
	return client.Consume(ctx, consumer)
}

// child is a process of the crash test.
type child struct {
	role  string
	cmd   *exec.Cmd
	input io.WriteCloser
	lines chan string
}

func start(t *testing.T, role, dir, listen string) *child {
	t.Helper()
	c := &child{role: role, cmd: exec.Command(os.Args[0]), lines: make(chan string, 1<<16)}
	c.cmd.Env = append(os.Environ(), "BACKLOT_MQ_ROLE="+role, "BACKLOT_MQ_LISTEN="+listen,
		"BACKLOT_MQ_DIR="+filepath.Join(dir, role))
	c.cmd.Stderr = t.Output()
	var err error
	if c.input, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	output, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for lines := bufio.NewScanner(output); lines.Scan(); {
			c.lines <- lines.Text()
		}
		close(c.lines)
	}()
	return c
}

// await returns false where the process does not get so far.
func (c *child) await(t *testing.T, lines int, limit time.Duration) bool {
	t.Helper()
	late := time.After(limit)
	for range lines {
		select {
		case _, alive := <-c.lines:
			if !alive {
				t.Fatalf("%s ended", c.role)
			}
		case <-late:
			return false
		}
	}
	return true
}

func (c *child) steps(t *testing.T, n int) {
	t.Helper()
	if _, err := io.WriteString(c.input, strings.Repeat("\n", n)); err != nil {
		t.Fatal(err)
	}
}

// end kills the process, or lets it stop by itself.
func (c *child) end(t *testing.T, kill bool) {
	t.Helper()
	if kill {
		if err := c.cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
	}
	c.input.Close()
	for range c.lines { // Wait closes what is read from
	}
	if err := c.cmd.Wait(); err != nil && !kill {
		t.Errorf("%s: %v", c.role, err)
	}
}

func TestKillsLoseNothingAndDoubleNothing(t *testing.T) {
	for name, batches := range map[string]string{"one by one": "", "in batches": "1"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("BACKLOT_MQ_BATCHES", batches)
			killAll(t)
		})
	}
}

func killAll(t *testing.T) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if given := os.Getenv("BACKLOT_TEST_SEED"); given != "" {
		var err error
		if seed, err = strconv.ParseUint(given, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("replay with BACKLOT_TEST_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir, listen := t.TempDir(), testport.Address(t)
	running := map[string]*child{}
	for _, role := range []string{"server", "producer", "consumer"} {
		running[role] = start(t, role, dir, listen)
	}
	const rounds, burst = 9, 60
	for round := range rounds {
		running["producer"].steps(t, burst)
		role := []string{"consumer", "producer", "server"}[round%3]
		// Kill it in the middle of what it does.
		watched := running[role]
		if role == "server" {
			watched = running["consumer"]
		}
		if !watched.await(t, 1+random.IntN(burst-1), patience) {
			t.Fatalf("round %d: %s does not get on", round, watched.role)
		}
		running[role].end(t, true)
		running[role] = start(t, role, dir, listen)
	}
	running["producer"].steps(t, burst)
	running["producer"].await(t, burst, patience)
	running["producer"].end(t, false)
	told, total := readNumbers(t, filepath.Join(dir, "producer"))
	running["producer"] = start(t, "producer", dir, listen) // it has an outbox to empty
	awaitNumbers(t, filepath.Join(dir, "consumer"), total)
	for _, role := range []string{"consumer", "producer", "server"} {
		running[role].end(t, false)
	}
	heard, _ := readNumbers(t, filepath.Join(dir, "consumer"))
	for key, numbers := range told {
		if fmt.Sprint(heard[key]) != fmt.Sprint(numbers) {
			t.Errorf("key %s: told %v\nheard %v", key, numbers, heard[key])
		}
	}
}

// patience is how long a machine may take over a step that was asked for.
const patience = time.Minute

// awaitNumbers looks into the consumer's database until it has enough.
func awaitNumbers(t *testing.T, dir string, total int) {
	t.Helper()
	late := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_, have := readNumbers(t, dir)
		if have >= total {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("the consumer heard %d of %d", have, total)
		}
	}
}
