package syntax

import (
	"strings"
	"testing"
)

// laidOut is a source in canonical form with all that is broken into lines.
const laidOut = `rule commented "title" live  # after title
  # after when
  when amount > 500.00 CNY  # c1
    # c2
    and (
      country == "CN"
      or country == "US"  # c3
      or country == "DE"
    )  # c4
    and not (
      viewer_id == "x"  # c5
    )
  # c6
  then deny score 5  # c7

rule long live
  when amount > 500.00 CNY
    and (
      country in ["CN", "US", "DE", "FR", "GB"]
      or viewer_id in ["aaaaaaaaaa", "bbbbbbbbbbbbbb", "cccccccccccc"]
    )
    and hour(at, "Asia/Shanghai") in 1..4
  then deny

rule negated live
  when not (
    amount > 500.00 CNY
    and country == "CN"
    and account_age < 7d
    and viewer_id in ["aaaaaaaaaa", "bbbbbbbbbbbbbb", "cccccccccccc"]
  )
  then deny

rule constants live
  when viewer_id not in [
    "aaaaaaaaaa", "bbbbbbbbbbbbbb", "cccccccccccc", "aaaaaaaaaa1", "bbbbbbbbbbbbbb1",
    "cccccccccccc1", "aaaaaaaaaa2", "bbbbbbbbbbbbbb2", "cccccccccccc2",
    # a comment breaks the row
    "d",
  ]
  then deny

rule networks live
  when ip in cidr [
    10.0.0.0/8, 10.1.0.0/8, 10.2.0.0/8, 10.3.0.0/8, 10.4.0.0/8, 10.5.0.0/8, 10.6.0.0/8, 10.7.0.0/8,
  ]
  then deny

rule 宽字 live
  when country == "中国中国中国中国中国中国中国"
    and viewer_id == "很长很长很长很长很长很长很长很长"
    and card == "卡卡卡卡卡"
  then deny

rule mixed live
  when amount > 500.00 CNY
    and (
      country == "CN" and paid_orders > 3
      or country == "US" and (viewer_id == "x" or viewer_id == "y" and paid_orders > 99999)
    )
  then deny

rule elements live
  when any item in items (
    item.category == "giftcard"
    and item.price > 200.00 CNY
    and item.from.country != billing.country
    and item.from.country != shipping.country  # abroad
  )
  then deny

test "deep"
  given {
    amount: 5.00 CNY,  # money
    items: [
      { category: "giftcard", price: 300.00 CNY },
      # the second
      { category: "book", price: 3.00 CNY, from: { country: "CN" } },
    ],
    labels: [],
    # the last
  }
  expect allow because long, negated
`

func TestLayout(t *testing.T) {
	file, faults := Parse(laidOut)
	if len(faults) > 0 {
		t.Fatalf("faults %+v", faults)
	}
	if got := Format(file, English); got != laidOut {
		t.Errorf("got\n%s", got)
	}
	again, faults := Parse(Format(file, Chinese))
	if len(faults) > 0 {
		t.Fatalf("in Chinese: faults %+v", faults)
	}
	for line := range strings.Lines(Format(again, Chinese)) {
		code, _, _ := strings.Cut(line, "  #")
		if width(strings.TrimRight(code, "\n")) > lineWidth {
			t.Errorf("%d columns: %s", width(code), line)
		}
	}
	if got := Format(again, English); len(strings.Fields(got)) != len(strings.Fields(laidOut)) {
		t.Errorf("by way of Chinese:\n%s", got)
	}
}
