package mq

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	kitmq "github.com/backlot-video/backlot/kit/mq"
)

const envDir = "BACKLOT_BENCH_MQ_DIR"

// broker is the process of broker and proxy, and their addresses.
type broker struct {
	dir             string
	direct, delayed string
	cmd             *exec.Cmd
	input           io.Closer
}

// startBroker runs this program again, as serve.
func startBroker() (*broker, error) {
	dir, err := os.MkdirTemp("", "backlot-bench-mq-")
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	b := &broker{dir: dir, cmd: exec.CommandContext(context.Background(), self, "money/mq")}
	b.cmd.Env, b.cmd.Stderr = append(os.Environ(), envDir+"="+dir), os.Stderr
	if b.input, err = b.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := b.cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		b.stop()
		return nil, fmt.Errorf("broker: %w", err)
	}
	b.direct, b.delayed, _ = strings.Cut(strings.TrimSpace(line), " ")
	return b, nil
}

func (b *broker) stop() {
	_ = b.input.Close()
	_ = b.cmd.Wait()
	_ = os.RemoveAll(b.dir)
}

// serve is the other process: it ends with its standard input.
func serve(dir string) error {
	server, err := kitmq.NewServer(kitmq.ServerConfig{DataDir: dir, Listen: "127.0.0.1:0"})
	if err != nil {
		return err
	}
	proxy, err := startDelay(strings.TrimPrefix(server.URL(), "nats://"), delay)
	if err != nil {
		return err
	}
	defer proxy.Close()
	fmt.Println(server.URL(), "nats://"+proxy.Addr().String())
	_, _ = io.Copy(io.Discard, os.Stdin)
	return server.Close()
}
