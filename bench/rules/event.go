package rules

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"time"
)

// Event is a payment as a program of a peer's user would hold it: decoded,
// amounts in minor units (all are CNY, so that peers need not compare the
// currency), times in microseconds, the IP address parsed, velocity read.
type Event struct {
	Amount, Fee                         int
	Card, Email                         string
	IP                                  netip.Addr
	Device, Merchant, Channel           string
	At, AccountAge                      int
	PaidOrders, Refunds, Failed         int
	Risk                                float64
	Is3DS                               bool
	Billing, Shipping                   Address
	Items                               []Item
	CardCount, DeviceCount, DeviceTotal int // velocity: payments by card in 30d; payments and amount by device in 7d
}

// Address is a part of an Event.
type Address struct{ Country, City string }

// Item is a part of an Event.
type Item struct {
	Category string
	Price    int // minor units
	Quantity int
}

// day is when events happen.
var day = time.Date(2026, 11, 1, 16, 0, 0, 0, time.UTC)

var (
	countries  = []string{"CN", "US", "JP", "DE", "FR", "GB", "KR", "SG", "TH", "VN", "MY", "ID", "IN", "BR", "MX", "CA", "AU", "IT", "ES", "NL", "SE", "PL", "TR", "RU", "UA", "EG", "NG", "ZA", "KE", "AR", "CL", "CO", "PE", "PH", "NZ", "CH", "AT", "BE", "DK", "NO"}
	cities     = []string{"上海", "北京", "深圳", "Tokyo", "Berlin", "Paris", "London", "Seoul", "Singapore", "Bangkok", "Hanoi", "Jakarta", "Delhi", "Rio", "Lima", "Cairo", "Lagos", "Oslo", "Zurich", "Toronto"}
	domains    = []string{"gmail.com", "qq.com", "163.com", "outlook.com", "yahoo.co.jp", "mailinator.com", "yopmail.com", "proton.me", "icloud.com", "example.org", "tempmail.dev", "corp.example.cn", "guerrilla.info", "web.de", "orange.fr", "naver.com"}
	names      = []string{"li", "wang", "zhang", "chen", "test", "buyer", "promo", "anna", "john", "maria", "bot", "user", "shop", "vip", "sales", "kim", "park", "sato", "mueller", "dupont", "smith", "silva", "ivan", "ali"}
	categories = []string{"giftcard", "phone", "laptop", "game", "voucher", "book", "shoes", "bag", "watch", "ticket", "food", "toy"}
	channels   = []string{"web", "web", "web", "web", "web", "app", "app", "app", "mini", "api"}
)

const (
	micros      = 1_000_000
	hour        = 3600 * micros
	merchants   = 2000
	listedCards = 200_000
)

// listedCard is an entry of the list of stolen cards.
func listedCard(i int) string { return fmt.Sprintf("5%015d", i*7919) }

// Events returns n random events.
func Events(n int, seed uint64) []Event {
	r := rand.New(rand.NewPCG(seed, 0))
	events := make([]Event, n)
	for i := range events {
		events[i] = event(r)
	}
	return events
}

func event(r *rand.Rand) Event {
	e := Event{
		Amount: logUniform(r, 100, 5_000_000), Fee: r.IntN(5000),
		Card: fmt.Sprintf("4%015d", r.Int64N(1e15)), Device: fmt.Sprintf("dev-%016x", r.Uint64()),
		Merchant: merchant(skewed(r, merchants)), Channel: pick(r, channels),
		At: int(day.UnixMicro()) + r.IntN(24*hour), AccountAge: logUniform(r, 60*micros, 5*365*24*hour),
		PaidOrders: skewed(r, 200), Refunds: skewed(r, 20), Failed: skewed(r, 10),
		Risk: r.Float64(), Is3DS: r.IntN(10) < 6,
		CardCount: skewed(r, 12), DeviceCount: skewed(r, 12),
	}
	if r.IntN(20) == 0 {
		e.Card = listedCard(r.IntN(listedCards))
	}
	e.IP = netip.AddrFrom4([4]byte{byte(10 + r.IntN(20)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))})
	e.Email = fmt.Sprintf("%s%d@%s", pick(r, names), r.IntN(10000), domains[skewed(r, len(domains))])
	if r.IntN(2) == 0 {
		e.Email = pick(r, names) + "." + e.Email
	}
	e.Billing = Address{countries[skewed(r, len(countries))], pick(r, cities)}
	e.Shipping = e.Billing
	if r.IntN(5) == 0 {
		e.Shipping = Address{countries[skewed(r, len(countries))], pick(r, cities)}
	}
	for range 1 + r.IntN(8) {
		e.Items = append(e.Items, Item{pick(r, categories), logUniform(r, 100, 500_000), 1 + skewed(r, 9)})
	}
	for range e.DeviceCount {
		e.DeviceTotal += e.Amount
	}
	return e
}

func merchant(i int) string { return fmt.Sprintf("m-%04d", i) }

func pick(r *rand.Rand, from []string) string { return from[r.IntN(len(from))] }

// logUniform favours small numbers: each decade is as likely as the next.
func logUniform(r *rand.Rand, low, high float64) int {
	return int(low * math.Pow(high/low, r.Float64()))
}

// skewed is in [0, n); small numbers are more likely.
func skewed(r *rand.Rand, n int) int {
	x := r.Float64()
	return int(x * x * float64(n))
}
