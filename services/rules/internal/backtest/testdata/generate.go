// Command generate prints payments as lines of JSON, for trying out backtests.
//
//	go run ./services/rules/internal/backtest/testdata/generate.go 1000000 > events.jsonl
package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
)

func main() {
	n := 1000
	if len(os.Args) > 1 {
		n, _ = strconv.Atoi(os.Args[1])
	}
	random := rand.New(rand.NewPCG(1, 1))
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	countries := []string{"CN", "CN", "CN", "US", "DE", "SG"}
	for i := range n {
		fmt.Fprintf(out, `{"orderId": "o%d", "amount": {"minor": %d, "currency": "CNY"}, "card": "c%d", "ip": "10.%d.%d.%d", "country": %q, "at": %d, "accountAge": %d, "paidOrders": %d}`+"\n",
			i, 100+random.IntN(100_000), random.IntN(n/20+1), random.IntN(8), random.IntN(256), random.IntN(256), countries[random.IntN(len(countries))],
			1_795_000_000_000_000+int64(i)*250_000, random.Int64N(60*86_400_000_000), random.IntN(12))
	}
}
