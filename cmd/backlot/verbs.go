package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/backlot-video/backlot/cmd/backlot/internal/certs"
	"github.com/backlot-video/backlot/cmd/backlot/internal/demo"
	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/lifecycle"
)

// parse reads a tool's flags; help is true where they were only explained.
// BACKLOT_CONFIG names the file of the process that a tool runs beside, whose
// settings are not the tool's.
func parse(set *config.Set, about string, args []string) (help bool, err error) {
	environ := slices.DeleteFunc(os.Environ(), func(entry string) bool {
		return strings.HasPrefix(entry, config.EnvironmentName("config")+"=")
	})
	rest, err := set.Parse(args, environ)
	switch {
	case errors.Is(err, config.ErrHelp):
		fmt.Printf("%s\n\n", about)
		return true, set.WriteHelp(os.Stdout)
	case err != nil:
		return false, err
	case len(rest) > 0:
		return false, fmt.Errorf("argument %q is not known; try --help", rest[0])
	}
	return false, nil
}

// registerDemo declares the demo's settings.
func registerDemo(set *config.Set, c *demo.Config) {
	set.String(&c.Gateway, "gateway", "http://127.0.0.1:8080", "`address` of the gateway")
	set.String(&c.OperatorKey, "operator-key", "", "`file` with the operator's key; empty: storefront/operator.key in the data folder")
	set.String(&c.StateDir, "state-dir", "", "`folder` for clips and demo accounts; empty: demo in the data folder")
	set.String(&c.Video, "video", "", "`file` to upload; empty: a clip is made with FFmpeg")
	set.Int(&c.Seconds, "seconds", 20, "length of the clip that is made")
	set.String(&c.Size, "size", "640x360", "frame of the clip that is made, `WxH`")
	set.Int(&c.Catalogue, "catalogue", 60, "`number` of short clips beside it; 0: none, and no recommendations")
	set.Int(&c.Viewers, "viewers", 300, "`number` of generated viewers")
	set.String(&c.FFmpeg, "ffmpeg", "ffmpeg", "FFmpeg `command`")
}

func completeDemo(c *demo.Config, dataDir string, out *os.File) {
	if c.OperatorKey == "" {
		c.OperatorKey = filepath.Join(dataDir, "storefront", "operator.key")
	}
	if c.StateDir == "" {
		c.StateDir = filepath.Join(dataDir, "demo")
	}
	c.Out = out
	if info, err := out.Stat(); err == nil {
		c.Terminal = info.Mode()&os.ModeCharDevice != 0
	}
}

func validateDemo(c *demo.Config) error {
	var faults []error
	if c.Seconds < 1 || c.Seconds > 3600 {
		faults = append(faults, errors.New("seconds: must be 1 to 3600"))
	}
	if c.Catalogue < 0 || c.Catalogue > 600 {
		faults = append(faults, errors.New("catalogue: must be 0 to 600"))
	}
	if c.Viewers < 0 || c.Viewers > 1000 {
		faults = append(faults, errors.New("viewers: must be 0 to 1000"))
	}
	return errors.Join(faults...)
}

func demoVerb(ctx context.Context, args []string) error {
	set := config.New("demo")
	var c demo.Config
	var dataDir string
	set.String(&dataDir, "data-dir", "./data", "`folder` of the running Backlot")
	registerDemo(set, &c)
	if help, err := parse(set, "backlot demo drives the whole journey through the API of a running Backlot.", args); help || err != nil {
		return err
	}
	if err := validateDemo(&c); err != nil {
		return err
	}
	completeDemo(&c, dataDir, os.Stdout)
	return demo.Run(ctx, c)
}

// journey drives the demo inside the process that it is about, still
// through the public API.
type journey struct{ config demo.Config }

// Name implements lifecycle.Service.
func (j *journey) Name() string { return "demo" }

// RegisterFlags implements lifecycle.Service.
func (j *journey) RegisterFlags(set *config.Set) { registerDemo(set, &j.config) }

// Validate implements lifecycle.Service.
func (j *journey) Validate() error { return validateDemo(&j.config) }

// Run implements lifecycle.Service.
func (j *journey) Run(ctx context.Context, host *lifecycle.Host) error {
	host.Ready()
	completeDemo(&j.config, filepath.Dir(host.DataDir), os.Stdout)
	if err := demo.Run(ctx, j.config); err != nil && ctx.Err() == nil {
		return err
	}
	if ctx.Err() == nil {
		fmt.Printf("\nThe console is open at %s (operator's key: %s). Ctrl-C stops Backlot.\n", j.config.Gateway, j.config.OperatorKey)
	}
	<-ctx.Done()
	return nil
}

func certsVerb(_ context.Context, args []string) error {
	set := config.New("certs")
	var dir, hosts string
	set.String(&dir, "dir", "./certs", "`folder` for the files")
	set.String(&hosts, "hosts", "localhost,127.0.0.1,configstore,rules,settlement,coordinator,storefront,transcoder,recommender,gateway,mq",
		"`names` and addresses that the certificate is for, by commas")
	if help, err := parse(set, "backlot certs makes an authority and one certificate for calls between services.", args); help || err != nil {
		return err
	}
	return certs.Write(dir, hosts, time.Now())
}

func healthcheckVerb(ctx context.Context, args []string) error {
	set := config.New("healthcheck")
	var address string
	set.String(&address, "address", "http://127.0.0.1:9090/readyz", "`address` to ask")
	if help, err := parse(set, "backlot healthcheck asks a process whether it is ready.", args); help || err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, text)
	}
	return err
}
