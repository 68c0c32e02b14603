// Command bench measures Backlot beside its peers, in one run on one machine.
//
//	bench [-cpuprofile FILE] [NAME...]
//
// A NAME is a group (rules), or one of its comparisons (rules/one); without
// one all are run. Each prints a line of JSON.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime/pprof"
	"slices"
	"strings"

	"github.com/backlot-video/backlot/bench/configstore"
	"github.com/backlot-video/backlot/bench/gateway"
	"github.com/backlot-video/backlot/bench/gateway/xds"
	"github.com/backlot-video/backlot/bench/informer"
	"github.com/backlot-video/backlot/bench/internal/measure"
	"github.com/backlot-video/backlot/bench/money/ledger"
	"github.com/backlot-video/backlot/bench/money/mq"
	"github.com/backlot-video/backlot/bench/money/pressure"
	"github.com/backlot-video/backlot/bench/money/tcc"
	"github.com/backlot-video/backlot/bench/rules"
)

var benches = slices.Concat(
	configstore.Benches, informer.Benches, gateway.Benches, xds.Benches, rules.Benches, ledger.Benches, mq.Benches, pressure.Benches, tcc.Benches,
)

func main() {
	profile := flag.String("cpuprofile", "", "write a CPU profile to this file")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: bench [-cpuprofile FILE] [NAME...]")
		flag.PrintDefaults()
		for _, bench := range benches {
			fmt.Fprintln(flag.CommandLine.Output(), "  "+bench.Name)
		}
	}
	flag.Parse()
	if err := run(*profile, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(profile string, names []string) error {
	chosen, err := choose(names)
	if err != nil {
		return err
	}
	if profile != "" {
		file, err := os.Create(profile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	report := &measure.Report{Out: os.Stdout}
	for _, bench := range chosen {
		if err := bench.Run(report); err != nil {
			return fmt.Errorf("%s: %w", bench.Name, err)
		}
	}
	return nil
}

// choose returns the comparisons that names stand for.
func choose(names []string) ([]measure.Bench, error) {
	if len(names) == 0 {
		return benches, nil
	}
	var chosen []measure.Bench
	for _, name := range names {
		before := len(chosen)
		for _, bench := range benches {
			if bench.Name == name || strings.HasPrefix(bench.Name, strings.TrimSuffix(name, "/")+"/") {
				chosen = append(chosen, bench)
			}
		}
		if len(chosen) == before {
			return nil, fmt.Errorf("no comparison is called %q; bench -h lists them", name)
		}
	}
	return chosen, nil
}
