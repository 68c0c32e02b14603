package service

import (
	"context"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/backlot-video/backlot/services/rules/internal/tool"
)

// Tool runs a verb of the tool for rulesets, if args begin with one, and
// returns its exit code. What begins with a flag is for the service.
func Tool(program string, args []string) (code int, ran bool) {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") || args[0] == "version" {
		return 0, false
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return tool.Main(ctx, args, &tool.Stdio{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: os.Environ(), Program: program, Colour: colourful(os.Stdout),
	}), true
}

// colourful tells whether a file is a terminal that shows colours.
func colourful(out *os.File) bool {
	info, err := out.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
