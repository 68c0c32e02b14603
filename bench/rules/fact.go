package rules

import (
	"math"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/backlot-video/backlot/bench/internal/describe"
	"github.com/backlot-video/backlot/services/rules/fact"
)

// Schema is the type of the facts that are judged, in effect:
//
//	message PaymentFact {
//	  Money amount = 1;  Money fee = 2;  string card = 3;  string ip = 4;  string email = 5;
//	  string device = 6;  string merchant = 7;  string channel = 8;  int64 at = 9;
//	  int64 account_age = 10;  int64 paid_orders = 11;  int64 refunds = 12;  int64 failed = 13;
//	  double risk = 14;  bool is_3ds = 15;  Address billing = 16;  Address shipping = 17;
//	  repeated Item items = 18;
//	}
//	message Money { int64 minor = 1; string currency = 2; }
//	message Address { string country = 1; string city = 2; }
//	message Item { string category = 1; Money price = 2; int64 quantity = 3; }
func Schema() (*fact.Schema, error) { return schemaOnce() }

var schemaOnce = sync.OnceValues(func() (*fact.Schema, error) {
	desc, err := describe.File("bench",
		describe.Message{Name: "Money", Fields: "minor:int64 currency:string"},
		describe.Message{Name: "Address", Fields: "country:string city:string"},
		describe.Message{Name: "Item", Fields: "category:string price:Money quantity:int64"},
		describe.Message{Name: "PaymentFact", Fields: "amount:Money fee:Money card:string ip:string email:string device:string merchant:string channel:string " +
			"at:int64 account_age:int64 paid_orders:int64 refunds:int64 failed:int64 risk:double is_3ds:bool billing:Address shipping:Address items:Item*"},
	)
	if err != nil {
		return nil, err
	}
	return fact.New(desc, fact.Config{})
})

// Wire is the event as the service receives it.
func (e *Event) Wire() []byte {
	ip := ""
	if e.IP.IsValid() {
		ip = e.IP.String()
	}
	var b []byte
	b = appendMessage(b, 1, money(e.Amount))
	b = appendMessage(b, 2, money(e.Fee))
	for i, text := range []string{e.Card, ip, e.Email, e.Device, e.Merchant, e.Channel} {
		b = appendText(b, protowire.Number(3+i), text)
	}
	for i, n := range []int{e.At, e.AccountAge, e.PaidOrders, e.Refunds, e.Failed} {
		b = appendInt(b, protowire.Number(9+i), n)
	}
	b = protowire.AppendTag(b, 14, protowire.Fixed64Type)
	b = protowire.AppendFixed64(b, math.Float64bits(e.Risk))
	if e.Is3DS {
		b = appendInt(b, 15, 1)
	}
	b = appendMessage(b, 16, address(e.Billing))
	b = appendMessage(b, 17, address(e.Shipping))
	for _, item := range e.Items {
		inner := appendText(nil, 1, item.Category)
		inner = appendMessage(inner, 2, money(item.Price))
		b = appendMessage(b, 18, appendInt(inner, 3, item.Quantity))
	}
	return b
}

func money(minor int) []byte { return appendText(appendInt(nil, 1, minor), 2, "CNY") }

func address(a Address) []byte { return appendText(appendText(nil, 1, a.Country), 2, a.City) }

func appendMessage(b []byte, number protowire.Number, inner []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), inner)
}

func appendText(b []byte, number protowire.Number, text string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, number, protowire.BytesType), text)
}

func appendInt(b []byte, number protowire.Number, n int) []byte {
	if n == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), uint64(n))
}
