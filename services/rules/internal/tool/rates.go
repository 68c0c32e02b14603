package tool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/tool"
	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/rate"
)

var ratesVerb = Verb{
	Name: "rates", Args: "put FILE", About: "releases the exchange rates of a running Backlot",
	Examples: []string{"rates put rates.txt --reason 'of Friday'"},
	Run:      runRates,
}

func runRates(ctx context.Context, verb *Verb, args []string, std *Stdio) int {
	set := config.New(verb.Name)
	var r remote
	var reason string
	r.Register(set)
	set.String(&reason, "reason", "", "`why`; kept in the release")
	rest, code, done := verb.parse(set, args, std)
	if done {
		return code
	}
	if len(rest) != 2 || rest[0] != "put" {
		return std.fail(verb, errors.New("want put FILE; a FILE has `base USD` and then a line as `CNY 0.1402` for each currency"))
	}
	spec, err := readRateTable(rest[1], std.In)
	if err == nil {
		err = r.SignIn(ctx)
	}
	if err == nil {
		err = r.releaseRates(ctx, spec, reason, std.Out)
	}
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, rate.ErrTable):
		_ = std.fail(verb, err)
		return exitFaults
	}
	return std.fail(verb, tool.Plain(err))
}

// readRateTable reads a file; - is the standard input.
func readRateTable(path string, source io.Reader) (*rulesv1.RateTable, error) {
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer func() { _ = file.Close() }()
		source = file
	}
	table, err := rate.Read(source, "")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	spec := &rulesv1.RateTable{Base: table.Base()}
	for currency, worth := range table.All() {
		spec.Rates = append(spec.Rates, &rulesv1.RateTable_Rate{Currency: currency, Worth: worth})
	}
	return spec, nil
}

func (r *remote) releaseRates(ctx context.Context, spec *rulesv1.RateTable, reason string, out io.Writer) error {
	packed, err := anypb.New(spec)
	if err != nil {
		return err
	}
	applied, err := r.config().Apply(ctx, &configstorev1.ApplyRequest{
		Reason: reason,
		Changes: []*configstorev1.Change{{Change: &configstorev1.Change_Put{Put: &configstorev1.Object{
			Key: &configstorev1.Key{Kind: "RateTable", Name: "default"}, Spec: packed,
		}}}},
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s: %d currencies, base %s\n", applied.GetObjects()[0].GetReleaseId(), len(spec.GetRates()), spec.GetBase())
	return err
}
