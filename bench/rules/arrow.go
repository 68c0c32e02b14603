package rules

import (
	"context"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/compute"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"github.com/backlot-video/backlot/bench/internal/measure"
)

// arrowRows is how many rows an Arrow batch has: the size that suits its
// kernels best here.
const arrowRows = 16 << 10

// arrowBatch has the columns that the rule reads. Strings are plain, as the
// kernels have no comparison of dictionaries.
type arrowBatch struct{ amount, age, channel, country compute.Datum }

// arrowCase judges the rule by the compute kernels of Apache Arrow: a mask for
// each condition, put together by and.
func arrowCase(events []Event) (measure.Case, func()) {
	ctx, mem := context.Background(), memory.DefaultAllocator
	var batches []arrowBatch
	for from := 0; from < len(events); from += arrowRows {
		batches = append(batches, newArrowBatch(mem, events[from:min(len(events), from+arrowRows)]))
	}
	countries := array.NewStringBuilder(mem)
	countries.AppendValues([]string{"CN", "SG", "US", "JP"}, nil)
	set := countries.NewArray()
	release := func() {
		set.Release()
		for _, b := range batches {
			for _, column := range []compute.Datum{b.amount, b.age, b.channel, b.country} {
				column.Release()
			}
		}
	}
	among := compute.NewDatumWithoutOwning(set)
	limits := []compute.Datum{compute.NewDatum(int64(50_000)), compute.NewDatum(int64(30 * 24 * hour)), compute.NewDatum("app")}
	want := wanted(events)
	name := "arrow-go " + strings.TrimPrefix(arrow.PkgVersion, "v") + " compute"
	return measure.Case{Name: name, Ops: len(events), Run: func() error {
		fired := 0
		for i := range batches {
			n, err := batches[i].judge(ctx, limits, among)
			if err != nil {
				return err
			}
			fired += n
		}
		return agreed(fired, want)
	}}, release
}

func newArrowBatch(mem memory.Allocator, events []Event) arrowBatch {
	amount, age := array.NewInt64Builder(mem), array.NewInt64Builder(mem)
	channel, country := array.NewStringBuilder(mem), array.NewStringBuilder(mem)
	for i := range events {
		e := &events[i]
		amount.Append(int64(e.Amount))
		age.Append(int64(e.AccountAge))
		channel.Append(e.Channel)
		country.Append(e.Billing.Country)
	}
	datum := func(b array.Builder) compute.Datum { return compute.NewDatum(b.NewArray()) }
	return arrowBatch{datum(amount), datum(age), datum(channel), datum(country)}
}

// judge counts the rows for which all conditions hold.
func (b *arrowBatch) judge(ctx context.Context, limits []compute.Datum, among compute.Datum) (int, error) {
	mask, err := compute.CallFunction(ctx, "greater", nil, b.amount, limits[0])
	if err != nil {
		return 0, err
	}
	conditions := []func() (compute.Datum, error){
		func() (compute.Datum, error) { return compute.CallFunction(ctx, "less", nil, b.age, limits[1]) },
		func() (compute.Datum, error) { return compute.CallFunction(ctx, "equal", nil, b.channel, limits[2]) },
		func() (compute.Datum, error) {
			return compute.IsIn(ctx, compute.SetOptions{ValueSet: among}, b.country)
		},
	}
	for _, condition := range conditions {
		next, err := condition()
		if err != nil {
			return 0, err
		}
		both, err := compute.CallFunction(ctx, "and", nil, mask, next)
		mask.Release()
		next.Release()
		if err != nil {
			return 0, err
		}
		mask = both
	}
	defer mask.Release()
	result := array.NewBooleanData(mask.(*compute.ArrayDatum).Value)
	defer result.Release()
	return trueCount(result), nil
}

// trueCount counts the bits that are set.
func trueCount(a *array.Boolean) (n int) {
	for i := range a.Len() {
		if a.Value(i) {
			n++
		}
	}
	return n
}
