package syntax

import (
	"fmt"
	"strings"
	"testing"
)

func benchSource() string {
	var source strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&source, `rule r%d "a rule" priority %d
  when amount > %d.00 CNY and merchant in ["m-0001", "m-%04d", "m-0200"] and (paid_orders * 3 > %d or risk > 0.%d)
  then deny score %d reason R%d
`, i, i%10, i, i, i, i%100, i%50, i)
	}
	return source.String()
}

func BenchmarkRead(b *testing.B) {
	source := benchSource()
	b.SetBytes(int64(len(source)))
	b.ReportAllocs()
	for b.Loop() {
		reader := NewReader(source)
		for reader.Next() != nil {
			reader.Release()
		}
		if len(reader.Faults()) > 0 {
			b.Fatal(reader.Faults())
		}
	}
}
