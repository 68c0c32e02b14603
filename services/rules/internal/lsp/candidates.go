package lsp

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/backlot-video/backlot/kit/money"
	"github.com/backlot-video/backlot/services/rules/fact"
	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// fields adds the fields of what a path leads to, of the fact where it is nil.
func (c *completer) fields(path []string, wanted func(fact.Kind) bool) {
	if c.d.schema == nil {
		return
	}
	message := c.d.schema.Descriptor()
	if path != nil {
		found, ok := c.d.resolvePath(path, c.p.before)
		if !ok || found.message == nil || found.list {
			return
		}
		message = found.message
	}
	c.fieldsOf(message, path == nil, wanted)
}

// fieldsOf adds the fields of a message; top tells that it is the fact.
func (c *completer) fieldsOf(message protoreflect.MessageDescriptor, top bool, wanted func(fact.Kind) bool) {
	for i := range message.Fields().Len() {
		field := message.Fields().Get(i)
		kind := c.d.schema.KindOf(field)
		if kind == fact.Invalid || wanted != nil && !wanted(kind) {
			continue
		}
		name := string(field.Name())
		if top {
			name = syntax.QuoteName(name)
		}
		c.addText(2, kindField, string(field.Name()), name, check.FieldType(c.d.schema, field), docOf(field))
	}
}

// members adds the members of the enum that a constant here is compared with.
func (c *completer) members() {
	compared, ok := c.d.compared(&c.p)
	if !ok || compared.descriptor == nil || compared.descriptor.Enum() == nil {
		return
	}
	enum := compared.descriptor.Enum()
	for i, member := range check.Members(enum) {
		c.addText(0, kindEnumMember, member, `"`+member+`"`, string(enum.Name()), docOf(enum.Values().Get(i)))
	}
}

// zones adds some time zones within a call that takes one.
func (c *completer) zones() {
	if c.p.last(1).Text != "," || !slices.Contains([]string{"hour", "weekday", "day", "month"}, c.p.call()) {
		return
	}
	for _, zone := range []string{"Asia/Shanghai", "UTC", "America/New_York", "Europe/London", "Asia/Tokyo"} {
		c.addText(0, kindValue, zone, `"`+zone+`"`, "time zone", "")
	}
}

// currencies returns all codes of ISO 4217 that are known.
var currencies = sync.OnceValue(func() []string {
	var all []string
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			for c := 'A'; c <= 'Z'; c++ {
				code := string([]rune{a, b, c})
				if _, known := money.Exponent(code); known {
					all = append(all, code)
				}
			}
		}
	}
	return all
})

func (c *completer) currencies() {
	for _, code := range currencies() {
		digits, _ := money.Exponent(code)
		c.add(0, kindUnit, code, fmt.Sprintf("currency with %d decimals", digits), "")
	}
}

func (c *completer) lists() {
	own := map[string]bool{}
	for _, decl := range c.d.file.Lists {
		own[decl.Name.Name] = true
		c.add(0, kindReference, decl.Name.Name, "list of this source, "+count(len(decl.Entries)), "")
	}
	if c.d.lists == nil {
		return
	}
	for _, name := range c.d.lists.Names() {
		if ref, ok := c.d.lists.Ref(name); ok && !own[name] {
			c.add(0, kindReference, name, "list, "+count(ref.Get().Len()), "")
		}
	}
}

// fieldsWithin completes in the braces of a message, or of an element of a list
// of messages.
func (c *completer) fieldsWithin(path []string) {
	if c.d.schema == nil {
		return
	}
	message := c.d.schema.Descriptor()
	for _, name := range path {
		field := message.Fields().ByName(protoreflect.Name(name))
		if field == nil || c.d.schema.ElemKind(field) != fact.Message {
			return
		}
		message = field.Message()
	}
	c.fieldsOf(message, path == nil, nil)
}

// count is a number of entries.
func count(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}

func title(rule *syntax.Rule) string {
	if rule.Title == nil {
		return ""
	}
	return rule.Title.Str
}

// docOf is the comment of a descriptor in its proto file, where that is known.
func docOf(d protoreflect.Descriptor) string {
	at := d.ParentFile().SourceLocations().ByDescriptor(d)
	return strings.TrimSpace(strings.TrimSpace(at.LeadingComments) + "\n" + strings.TrimSpace(at.TrailingComments))
}
