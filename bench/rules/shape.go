package rules

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones must not depend on the machine
)

// Shape is a form of conditions with random constants.
type Shape struct {
	Name string
	make func(r *rand.Rand) Cond
}

// Shapes are the forms that rules are made of.
var Shapes = []Shape{
	{"comparison", comparison},
	{"tree", tree},
	{"in", in},
	{"prefix-suffix", prefixSuffix},
	{"regex", pattern},
	{"cidr", cidr},
	{"arithmetic", arithmetic},
	{"time-of-day", timeOfDay},
	{"nested", nested},
	{"any", anyItem},
	{"all", allItems},
	{"velocity", velocity},
	{"list", listed},
}

// yuan prints minor units as our dialect writes them.
func yuan(minor int) string { return fmt.Sprintf("%d.%02d CNY", minor/100, minor%100) }

func comparison(r *rand.Rand) Cond {
	switch r.IntN(4) {
	case 0:
		limit := logUniform(r, 10_000, 4_000_000)
		return plain(fmt.Sprintf("amount > %d", limit), func(e *Event) bool { return e.Amount > limit }).
			own("amount > %s", yuan(limit))
	case 1:
		age := 1 + logUniform(r, 1, 2000)
		return plain(fmt.Sprintf("account_age < %d", age*hour), func(e *Event) bool { return e.AccountAge < age*hour }).
			own("account_age < %dh", age)
	case 2:
		risk := float64(500+r.IntN(490)) / 1000
		return plain(fmt.Sprintf("risk >= %.3f", risk), func(e *Event) bool { return e.Risk >= risk })
	default:
		shop := merchant(r.IntN(merchants))
		return plain(fmt.Sprintf(`merchant == "%s"`, shop), func(e *Event) bool { return e.Merchant == shop })
	}
}

func tree(r *rand.Rand) Cond {
	limit, age, channel, failed := logUniform(r, 50_000, 4_000_000), 1+r.IntN(200), pick(r, channels), 2+r.IntN(7)
	return plain(
		fmt.Sprintf(`(amount > %d || account_age < %d) && !!(is_3ds && channel == "%s") && failed >= %d`, limit, age*hour, channel, failed),
		func(e *Event) bool {
			return (e.Amount > limit || e.AccountAge < age*hour) && !(e.Is3DS && e.Channel == channel) && e.Failed >= failed
		}).
		own(`(amount > %s or account_age < %dh) and not (is_3ds and channel == "%s") and failed >= %d`, yuan(limit), age, channel, failed)
}

func in(r *rand.Rand) Cond {
	field, from, value := "merchant", make([]string, 4+r.IntN(12)), func(e *Event) string { return e.Merchant }
	for i := range from {
		from[i] = merchant(r.IntN(merchants))
	}
	if r.IntN(2) == 0 {
		field, value, from = "billing.country", func(e *Event) string { return e.Billing.Country }, from[:4]
		for i := range from {
			from[i] = countries[4+r.IntN(len(countries)-4)]
		}
	}
	slices.Sort(from)
	from = slices.Compact(from)
	c := plain(field+" in ["+quoted(from)+"]", func(e *Event) bool { return slices.Contains(from, value(e)) })
	c.text[Govaluate] = forms[Govaluate].Replace(field) + " in (" + quoted(from) + ")"
	return c.constant(r, "new Set(["+quoted(from)+"])", ".has("+field+")")
}

// constant gives JavaScript a constant that is made once, and its use.
func (c Cond) constant(r *rand.Rand, value, use string) Cond {
	name := fmt.Sprintf("k%x", r.Uint64())
	c.hoist = "const " + name + " = " + value + ";\n"
	c.text[JS] = name + use
	return c
}

func prefixSuffix(r *rand.Rand) Cond {
	prefix, suffix := pick(r, names), "@"+domains[skewed(r, len(domains))]
	if r.IntN(2) == 0 {
		prefix += fmt.Sprint(1 + r.IntN(9))
	}
	c := Cond{holds: func(e *Event) bool { return strings.HasPrefix(e.Email, prefix) && strings.HasSuffix(e.Email, suffix) }}
	methods := fmt.Sprintf(`email.startsWith("%s") && email.endsWith("%s")`, prefix, suffix)
	calls := fmt.Sprintf(`starts_with(email, "%s") && ends_with(email, "%s")`, prefix, suffix)
	c.text = [dialects]string{
		fmt.Sprintf(`email starts_with "%s" and email ends_with "%s"`, prefix, suffix),
		fmt.Sprintf(`email startsWith "%s" && email endsWith "%s"`, prefix, suffix),
		methods, methods, calls, calls,
	}
	return c
}

func pattern(r *rand.Rand) Cond {
	name, other := pick(r, names), pick(r, names)
	domain, second := strings.ReplaceAll(pick(r, domains), ".", "[.]"), strings.ReplaceAll(pick(r, domains), ".", "[.]")
	var text string
	switch r.IntN(4) {
	case 0: // many digits at a provider
		text = fmt.Sprintf(`[0-9]{%d,}@(%s|%s)$`, 2+r.IntN(3), domain, second)
	case 1: // made by a script
		text = fmt.Sprintf(`(%s|%s)[0-9]*%d[0-9]?@`, name, other, r.IntN(10))
	case 2: // two names and a number
		text = fmt.Sprintf(`^[a-z]+[.][a-z]+%d[0-9]+@%s$`, 1+r.IntN(9), domain)
	default: // any address of a provider whose number ends so
		text = fmt.Sprintf(`^[a-z0-9._%%+-]+%d@(%s|%s)$`, r.IntN(10), domain, second)
	}
	compiled := regexp.MustCompile(text)
	c := Cond{holds: func(e *Event) bool { return compiled.MatchString(e.Email) }}
	c.text = [dialects]string{
		`email matches /` + text + `/`, `email matches "` + text + `"`, `email.matches("` + text + `")`, "",
		`email =~ "` + text + `"`, `email =~ "` + text + `"`,
	}
	return c.constant(r, "/"+text+"/", ".test(email)")
}

func cidr(r *rand.Rand) Cond {
	address := netip.AddrFrom4([4]byte{byte(10 + r.IntN(20)), byte(r.IntN(256)), byte(r.IntN(256)), 0})
	prefix := netip.PrefixFrom(address, 10+r.IntN(7)).Masked()
	return plain(fmt.Sprintf(`in_cidr(ip, "%s")`, prefix), func(e *Event) bool { return prefix.Contains(e.IP) }).
		own("ip in cidr %s", prefix)
}

func arithmetic(r *rand.Rand) Cond {
	if r.IntN(2) == 0 {
		weight, limit := 2+r.IntN(5), 20+r.IntN(60)
		return plain(fmt.Sprintf("refunds * %d + failed > %d", weight, limit), func(e *Event) bool { return e.Refunds*weight+e.Failed > limit })
	}
	weight, limit := 2+r.IntN(8), logUniform(r, 1_000_000, 20_000_000)
	return plain(fmt.Sprintf("amount + fee * %d > %d", weight, limit), func(e *Event) bool { return e.Amount+e.Fee*weight > limit }).
		own("amount + fee * %d > %s", weight, yuan(limit))
}

var shanghai = func() *time.Location {
	zone, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		panic(err) // the zones are linked in
	}
	return zone
}()

func hourOf(at int) int { return time.UnixMicro(int64(at)).In(shanghai).Hour() }

func timeOfDay(r *rand.Rand) Cond {
	low := r.IntN(20)
	high := low + r.IntN(4)
	hours := make([]string, 0, 4)
	for h := low; h <= high; h++ {
		hours = append(hours, fmt.Sprint(h))
	}
	c := plain("hour(at) in ["+strings.Join(hours, ", ")+"]", func(e *Event) bool { h := hourOf(e.At); return h >= low && h <= high }).
		own(`hour(at, "Asia/Shanghai") in %d..%d`, low, high)
	c.text[JS] = fmt.Sprintf("between(hour(at), %d, %d)", low, high)
	c.text[Govaluate] = "hour(at) in (" + strings.Join(hours, ", ") + ", 99)"
	return c
}

func nested(r *rand.Rand) Cond {
	city, country := pick(r, cities), pick(r, countries[:6])
	return plain(fmt.Sprintf(`billing.city == "%s" && shipping.country != "%s"`, city, country), func(e *Event) bool {
		return e.Billing.City == city && e.Shipping.Country != country
	})
}

func anyItem(r *rand.Rand) Cond {
	category, price := pick(r, categories), logUniform(r, 5_000, 400_000)
	c := Cond{holds: func(e *Event) bool {
		return slices.ContainsFunc(e.Items, func(i Item) bool { return i.Category == category && i.Price > price })
	}}
	call := fmt.Sprintf(`any_item(items, "%s", %d)`, category, price)
	c.text = [dialects]string{
		fmt.Sprintf(`any item in items (item.category == "%s" and item.price > %s)`, category, yuan(price)),
		fmt.Sprintf(`any(items, .category == "%s" && .price > %d)`, category, price),
		fmt.Sprintf(`items.exists(i, i.category == "%s" && i.price > %d)`, category, price),
		fmt.Sprintf(`items.some(i => i.category === "%s" && i.price > %d)`, category, price),
		call, call,
	}
	return c
}

func allItems(r *rand.Rand) Cond {
	quantity, price := 1+r.IntN(3), logUniform(r, 2_000, 100_000)
	c := Cond{holds: func(e *Event) bool {
		return !slices.ContainsFunc(e.Items, func(i Item) bool { return i.Quantity < quantity || i.Price >= price })
	}}
	call := fmt.Sprintf(`all_items(items, %d, %d)`, quantity, price)
	c.text = [dialects]string{
		fmt.Sprintf(`all item in items (item.quantity >= %d and item.price < %s)`, quantity, yuan(price)),
		fmt.Sprintf(`all(items, .quantity >= %d && .price < %d)`, quantity, price),
		fmt.Sprintf(`items.all(i, i.quantity >= %d && i.price < %d)`, quantity, price),
		fmt.Sprintf(`items.every(i => i.quantity >= %d && i.price < %d)`, quantity, price),
		call, call,
	}
	return c
}

func velocity(r *rand.Rand) Cond {
	limit := 3 + r.IntN(7)
	switch r.IntN(3) {
	case 0:
		return plain(fmt.Sprintf("card_count > %d", limit), func(e *Event) bool { return e.CardCount > limit }).
			own("count(payment by card over 30d) > %d", limit)
	case 1:
		return plain(fmt.Sprintf("device_count > %d", limit), func(e *Event) bool { return e.DeviceCount > limit }).
			own("count(payment by device over 7d) > %d", limit)
	default:
		total := logUniform(r, 500_000, 20_000_000)
		return plain(fmt.Sprintf("device_total > %d", total), func(e *Event) bool { return e.DeviceTotal > total }).
			own("sum(amount by device over 7d) > %s", yuan(total))
	}
}

func listed(*rand.Rand) Cond {
	c := Cond{holds: func(e *Event) bool { return strings.HasPrefix(e.Card, "5") }}
	for d := range dialects {
		c.text[d] = "listed(card)"
	}
	c.text[JS] = "stolen.has(card)"
	return c.own("card in list @stolen")
}

// history is the payments that came before an event and that its velocity
// counts, in order of time.
func (e *Event) history() []Event {
	var past []Event
	for i := range max(e.CardCount, e.DeviceCount) {
		p := Event{Amount: e.Amount, At: e.At - (40-i)*int(time.Minute.Microseconds())}
		if i < e.CardCount {
			p.Card = e.Card
		}
		if i < e.DeviceCount {
			p.Device = e.Device
		}
		past = append(past, p)
	}
	return past
}
