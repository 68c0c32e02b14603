//go:build linux

package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/backlot-video/backlot/bench/internal/measure"
	"github.com/backlot-video/backlot/bench/internal/process"
)

// figures are what the load program tells of a round.
type figures struct {
	Requests int     `json:"requests"`
	Seconds  float64 `json:"seconds"`
	CPU      float64 `json:"cpu"`
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`

	cost      float64 // us of CPU for each request, or seconds for each GB
	perSecond float64
}

// middle is the median of each figure over rounds: neither one that was lucky
// nor one that was disturbed counts.
func middle(rounds []figures) figures {
	median := func(of func(f figures) float64) float64 {
		values := make([]float64, len(rounds))
		for i, f := range rounds {
			values[i] = of(f)
		}
		slices.Sort(values)
		n := len(values)
		return (values[(n-1)/2] + values[n/2]) / 2
	}
	return figures{
		P50:       median(func(f figures) float64 { return f.P50 }),
		P99:       median(func(f figures) float64 { return f.P99 }),
		cost:      median(func(f figures) float64 { return f.cost }),
		perSecond: median(func(f figures) float64 { return f.perSecond }),
	}
}

// run compares the contenders of a scenario. Those that are not installed are
// named on standard error and left out.
func (s scenario) run(report *measure.Report) error {
	r, err := newRig()
	if err != nil {
		return err
	}
	all, err := s.turns(r)
	if err := errors.Join(err, r.close()); err != nil {
		return err
	}
	return s.print(report, all)
}

// named is a contender's figures.
type named struct {
	name string
	figures
}

func (s scenario) turns(r *rig) ([]named, error) {
	proxies := make([]*proxy, len(s.contenders))
	defer func() {
		for _, p := range proxies {
			if p != nil {
				p.end()
			}
		}
	}()
	for i, c := range s.contenders {
		p, err := c.start(r, s)
		if errors.Is(err, errMissing) {
			fmt.Fprintf(os.Stderr, "%s: %s is left out: %v\n", s.name, c.name, err)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		proxies[i] = p
	}
	rounds := make([][]figures, len(proxies))
	for n := range s.rounds {
		for turn := range proxies { // each begins a round in its turn
			i := (turn + n) % len(proxies)
			if proxies[i] == nil {
				continue
			}
			got, err := s.load(r, proxies[i], s.contenders[i])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.contenders[i].name, err)
			}
			rounds[i] = append(rounds[i], got)
		}
	}
	var all []named
	for i, c := range s.contenders {
		if proxies[i] != nil {
			all = append(all, named{version(c.name), middle(rounds[i])})
		}
	}
	return all, nil
}

// load is one round of one proxy.
func (s scenario) load(r *rig, p *proxy, c contender) (figures, error) {
	pids, err := process.Family(p.cmd.Process.Pid)
	if err != nil {
		return figures{}, err
	}
	watch := strings.Trim(strings.Join(strings.Fields(fmt.Sprint(pids)), ","), "[]")
	args := []string{
		"-address", p.address, "-mode", s.mode, "-size", strconv.Itoa(s.size), "-path", c.prefix + "/" + strconv.Itoa(s.size),
		"-connections", strconv.Itoa(s.connections), "-streams", strconv.Itoa(s.streams), "-for", s.lasts.String(), "-watch", watch,
	}
	if c.signed {
		args = append(args, "-header", "Authorization: Bearer "+p.token)
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.lasts+time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, r.program("load"), args...)
	var out, faults bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &faults
	if err := process.StartOn(otherCPU, cmd); err != nil {
		return figures{}, err
	}
	if err := cmd.Wait(); err != nil {
		return figures{}, fmt.Errorf("load: %w: %s; the proxy says: %s", err, faults.Bytes(), p.tail())
	}
	var f figures
	if err := json.Unmarshal(out.Bytes(), &f); err != nil {
		return f, fmt.Errorf("load: %w: %s", err, out.Bytes())
	}
	f.perSecond = float64(f.Requests) / f.Seconds
	f.cost = f.CPU * 1e6 / float64(f.Requests)
	if s.volume {
		f.cost = f.CPU * 1e9 / (float64(f.Requests) * float64(s.size))
	}
	return f, nil
}

// print writes two lines: CPU, and requests a second.
func (s scenario) print(report *measure.Report, all []named) error {
	if len(all) < 2 {
		return errors.New("no peer is installed")
	}
	unit, extra := "us CPU/request", []measure.Extra{{Name: "rounds", Value: s.rounds}, {Name: "connections", Value: s.connections}}
	if s.volume {
		unit = "s CPU/GB"
	}
	if err := line(report, s.name, unit, false, all, func(f named) float64 { return f.cost }, extra); err != nil {
		return err
	}
	if err := line(report, s.name, "requests/s", true, all, func(f named) float64 { return f.perSecond }, extra); err != nil {
		return err
	}
	return line(report, s.name, "p99 us", false, all, func(f named) float64 { return f.P99 }, extra)
}

// line reports one figure beside the best peer's and all of them. The gateway
// with the other engine is no peer: it has a line of its own.
func line(report *measure.Report, name, unit string, higher bool, all []named, figure func(named) float64, extra []measure.Extra) error {
	ours, others := []named{all[0]}, []named{}
	for _, one := range all[1:] {
		if one.name == threadsName {
			ours = append(ours, one)
		} else {
			others = append(others, one)
		}
	}
	if len(others) == 0 {
		return errMissing
	}
	best, peers := others[0], map[string]float64{}
	for _, peer := range others {
		peers[peer.name] = figure(peer)
		if (figure(peer) > figure(best)) == higher {
			best = peer
		}
	}
	for i, one := range ours {
		err := report.Print(measure.Line{
			Bench: name + [...]string{"", "-goroutine"}[i], Unit: unit, Ours: figure(one), Peer: best.name, PeerValue: figure(best), Higher: higher,
			Extra: append([]measure.Extra{{Name: "peers", Value: peers}}, extra...),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

var versionNumber = regexp.MustCompile(`\d+\.\d+(\.\d+)*`)

// version adds its version to a peer's name.
func version(name string) string {
	first, rest, _ := strings.Cut(name, " ")
	program, known := map[string]string{nginxName: "nginx", haproxyName: "haproxy"}[first]
	if !known {
		return name
	}
	out, err := exec.CommandContext(context.Background(), program, "-v").CombinedOutput()
	if err != nil {
		return name
	}
	return strings.TrimSpace(first + " " + versionNumber.FindString(string(out)) + " " + rest)
}
