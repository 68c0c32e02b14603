package column_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// source generates rulesets and facts of facttest.Order.
type source struct{ *rand.Rand }

func (s source) pick(options ...string) string { return options[s.IntN(len(options))] }

// ruleset has velocity only where asked for.
func (s source) ruleset(rules int, velocity bool) string {
	var b strings.Builder
	b.WriteString("list @cards = [\"a\", \"ab\", \"\u00c4\", 10.0.0.0/8]\n")
	for i := range rules {
		state := s.pick("live", "live", "live", "shadow", "canary 40% by email", "canary 70% by attempts")
		action := s.pick("allow", "challenge", "review", "deny")
		cond := s.cond(3, false)
		if velocity && s.IntN(2) == 0 {
			cond = "(" + cond + " or " + s.window() + ")"
		}
		fmt.Fprintf(&b, "rule r%d priority %d %s when %s then %s score %d\n", i, s.IntN(3), state, cond, action, s.IntN(20)-5)
	}
	return b.String()
}

func (s source) window() string {
	return s.pick("count(order by card over 1m) > 1", "sum(amount by email over 1h) > 5.00 CNY", "not distinct(card by email over 1h) < 2",
		"avg(amount by card over 2m) != 2.00 USD", "max(attempts by email over 1h) is missing", "avg(attempts by card over 1h) > 1.5")
}

func (s source) cond(depth int, inItem bool) string {
	if depth <= 0 {
		return s.leaf(inItem)
	}
	switch s.IntN(9) {
	case 0, 1:
		return "(" + s.cond(depth-1, inItem) + " and " + s.cond(depth-1, inItem) + " and " + s.cond(depth-2, inItem) + ")"
	case 2, 3:
		return "(" + s.cond(depth-1, inItem) + " or " + s.cond(depth-1, inItem) + ")"
	case 4, 5:
		return "not " + s.cond(depth-1, inItem)
	case 6:
		return "((" + s.cond(depth-1, inItem) + ") == (" + s.cond(depth-2, inItem) + "))"
	case 7:
		if !inItem {
			return s.pick("any", "all") + " item in items (" + s.cond(depth-1, true) + ")"
		}
	}
	return s.leaf(inItem)
}

func (s source) leaf(inItem bool) string {
	compare := s.pick("==", "!=", "<", "<=", ">", ">=")
	switch s.IntN(13) {
	case 0:
		return s.pick("amount", "amount", "amount default 3.00 CNY", "-amount", "amount * 3", "amount - 2.00 USD", "convert(amount, USD)", "convert(amount, CNY)") + " " + compare + " " +
			s.pick("1.00 CNY", "3.00 USD", "amount + 1.00 CNY")
	case 1:
		return s.pick("is_3ds", "(is_3ds != true)", "not is_3ds")
	case 2:
		return s.pick("card", "email", "lower(card)", "card default \"b\"", "billing.country") + " " +
			s.pick("contains", "starts_with", "ends_with", compare) + " " + s.pick("\"a\"", "\"\"", "\"\u00e4\"", "email")
	case 3:
		return s.pick("amount", "card", "email", "billing.city", "billing", "attempts", "channel", "(amount + 1.00 USD)", "at") +
			" is " + s.pick("", "not ") + "missing"
	case 4:
		return s.pick("channel == \"APP\"", "channel != \"WEB\"", "channel in [\"WEB\"]", "channel not in [\"APP\", \"WEB\"]")
	case 5:
		return s.pick("card", "email", "lower(card)") + s.pick(" ", " not ") + "in " + s.pick("[\"a\", \"b\"]", "labels", "list @cards")
	case 6:
		if inItem {
			return s.pick("item.category == \"a\"", "item.price > 1.00 CNY", "item.count != 2", "item.count is missing", "\"x\" in item.tags",
				"item.from.country != billing.country", "any t in item.tags (t == card)", "item.category matches /^a/")
		}
	case 7:
		return "ip " + s.pick("in cidr 10.0.0.0/8", "not in cidr [10.1.0.0/16, 2001:db8::/32]", "in list @cards", "matches /^10\\./")
	case 8:
		return "risk " + compare + " " + s.pick("0.5", "-0.0", "1", "ratio", "risk * 2.0")
	case 9:
		return s.pick(`hour(at, "Asia/Shanghai") in 1..12`, `weekday(at) == 3`, `day(at) > 15`, "at > 2020-01-01T00:00Z", "account_age < 7d", "session >= 1m")
	case 10:
		return s.pick("card", "email", "lower(email)") + s.pick(" matches /^[ab]+$/", " not in [\"a\"]", " matches /B/")
	}
	ints := func() string {
		return s.pick("paid_orders", "attempts", "delta", "attempts + paid_orders", "attempts * 9223372036854775807", "paid_orders % attempts",
			"-delta", "paid_orders / delta", "5", "-9223372036854775807 - 1", "attempts default 4", "length(labels)", "length(card)")
	}
	switch s.IntN(6) {
	case 0:
		return ints() + s.pick(" ", " not ") + "in " + s.pick("[1, 2, 3]", "0..2", "[0, 5, -1]")
	case 1, 2:
		return s.pick("paid_orders", "attempts", "delta", "2") + " " + compare + " " + s.pick("0", "2", "-9223372036854775807", "9223372036854775807", "attempts")
	default:
		return ints() + " " + compare + " " + ints()
	}
}

func (s source) fact() string {
	var fields []string
	maybe := func(options ...string) {
		if s.IntN(4) > 0 {
			fields = append(fields, s.pick(options...))
		}
	}
	amount := func() string {
		return fmt.Sprintf(`{"minor": %d, "currency": %q}`, s.IntN(5)*100, s.pick("CNY", "CNY", "USD"))
	}
	maybe(`"amount": `+amount(), `"amount": `+amount(), `"amount": {}`)
	maybe(`"card": "a"`, `"card": ""`, `"card": "ab"`, `"card": "Ä"`, fmt.Sprintf(`"card": "c%d"`, s.IntN(3000)))
	maybe(`"email": "a"`, `"email": "b"`, `"email": "B"`)
	maybe(`"ip": "10.0.0.1"`, `"ip": "10.1.2.3"`, `"ip": "2001:db8::1"`, `"ip": "x"`)
	maybe(`"is_3ds": true`)
	maybe(`"at": `+fmt.Sprint(1_700_000_000_000_000+s.Int64N(1e14)), `"at": 5`)
	maybe(`"account_age": 86400000000`, `"account_age": 8640000000000`)
	maybe(`"risk": 0.5`, `"risk": -0.0`, `"risk": "NaN"`, `"risk": "Infinity"`, `"risk": 0.75`)
	maybe(`"ratio": 0.5`, `"ratio": 3`)
	maybe(`"session": "75s"`, `"session": "5.5s"`)
	maybe(`"channel": "CHANNEL_APP"`, `"channel": "CHANNEL_WEB"`, `"channel": 9`)
	maybe(`"paid_orders": 2`, `"paid_orders": -9223372036854775808`, `"paid_orders": 7`, `"paid_orders": 9223372036854775807`)
	maybe(`"attempts": 0`, `"attempts": -1`, `"attempts": 3`)
	maybe(`"delta": -1`, `"delta": 3`)
	maybe(`"billing": {}`, `"billing": {"country": "a", "city": ""}`)
	maybe(`"labels": ["a"]`, `"labels": ["b", ""]`)
	items := []string{`{}`, `{"category": "a", "price": ` + amount() + `}`, `{"count": 2, "tags": ["x", "a"]}`, `{"from": {"country": "a"}, "tags": ["ab"], "count": 1}`}
	s.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	fields = append(fields, `"items": [`+strings.Join(items[:s.IntN(3)], ",")+`]`)
	return "{" + strings.Join(fields, ", ") + "}"
}
