package syntax

import "strings"

// Span is a range of byte offsets in the source: [Start, End).
type Span struct{ Start, End int32 }

// ExprSpan makes what embeds a Span an Expr.
func (s Span) ExprSpan() Span { return s }

// Fault is one thing wrong with a source.
type Fault struct {
	Span    Span
	Message string // lower case, names what was found
	Help    string // what to write instead; may be empty
}

// Ident is a name as it stands in the source, without backquotes.
type Ident struct {
	Name string
	Span Span
}

// Comment is the text from '#' to the end of its line.
type Comment struct {
	Text     string
	Span     Span
	Trailing bool // something stands before it on its line
}

// File is a parsed source. Items holds rules, lists and tests in order.
type File struct {
	Source   string
	Items    []Item
	Rules    []*Rule
	Lists    []*List
	Tests    []*Test
	Comments []Comment
}

// Item is a *Rule, a *List or a *Test.
type Item interface{ ItemSpan() Span }

// State tells how far a rule is released.
type State uint8

// The states of a rule. Live is the default.
const (
	Live State = iota
	Shadow
	Canary
)

// Action is what a rule asks for, in rising strictness.
type Action uint8

// The actions. Allow is the verdict when nothing fires.
const (
	Allow Action = iota + 1
	Challenge
	Review
	Deny
)

// Rule is one rule.
type Rule struct {
	Span      Span
	Name      Ident
	Title     *Literal // what it is for; may be nil
	Priority  int64
	Tags      []Ident
	State     State
	CanaryPPM int64 // share of a canary, parts per million
	Percent   string
	CanaryBy  *Path  // whose stable hash chooses
	When      Expr   // nil where there are Terms
	Terms     []Term // of a conjunction that was read by stencils
	whenAt    int32  // where that begins
	Action    Action
	Score     int64
	HasScore  bool
	Reason    *Ident
}

// List is a named list written in the source.
type List struct {
	Span    Span
	Name    Ident
	Match   Word       // wordExact, wordPrefix, wordCIDR, or none
	Entries []*Literal // strings and addresses
}

// MatchName is the English keyword that says how the entries match, or empty.
func (l *List) MatchName() string { return spelling[l.Match][0] }

// Test is a case that a ruleset must pass.
type Test struct {
	Span     Span
	Name     *Literal
	Given    *Object
	Expect   Action
	ExpectAs Span // of the action
	Score    *Literal
	Because  []Ident
}

// ItemSpan implements Item.
func (r *Rule) ItemSpan() Span { return r.Span }

// ItemSpan implements Item.
func (l *List) ItemSpan() Span { return l.Span }

// ItemSpan implements Item.
func (t *Test) ItemSpan() Span { return t.Span }

// Object is the value in braces of a test's fact.
type Object struct {
	Span
	Fields []Field
}

// Array is a list of values in a test's fact or in an `in` test.
type Array struct {
	Span
	Elems []Expr
}

// Field is one entry of an Object. Key is a *Path or a *Window.
type Field struct {
	Key   Expr
	Value Expr // *Literal, *Object or *Array
}

// Expr is a node of an expression.
type Expr interface{ ExprSpan() Span }

// LiteralKind is the form of a literal.
type LiteralKind uint8

// The forms of literals and where Literal keeps their value.
const (
	IntLit      LiteralKind = iota // Int
	FloatLit                       // Float
	MoneyLit                       // Int minor units, Str currency
	DurationLit                    // Int microseconds
	TimeLit                        // Int Unix microseconds
	StringLit                      // Str
	RegexLit                       // Str
	BoolLit                        // Int 0 or 1
	AddressLit                     // Str
)

// Literal is a constant. Raw is its text in the source.
type Literal struct {
	Span
	Kind  LiteralKind
	Int   int64
	Float float64
	Str   string
	Raw   string
}

// Path names a field: `amount`, `billing.country`.
type Path struct {
	Span
	Parts []Ident
}

// Op is an operator.
type Op uint8

// The operators.
const (
	OpOr Op = iota + 1
	OpAnd
	OpEq
	OpNe
	OpLt
	OpLe
	OpGt
	OpGe
	OpContains
	OpStartsWith
	OpEndsWith
	OpMatches
	OpAdd
	OpSub
	OpMul
	OpDiv
	OpMod
	OpDefault
)

// Logic is a chain of `and` or of `or`: Terms has at least two.
type Logic struct {
	Span
	Op    Op
	Terms []Expr
}

// Binary is `X Op Y`.
type Binary struct {
	Span
	Op     Op
	OpSpan Span
	X, Y   Expr
}

// Not is `not X`.
type Not struct {
	Span
	X Expr
}

// Neg is `-X`.
type Neg struct {
	Span
	X Expr
}

// Paren is `(X)`, kept for the formatter.
type Paren struct {
	Span
	X Expr
}

// Call is `hour(at, "UTC")`.
type Call struct {
	Span
	Func Ident
	Args []Expr
}

// Window is a velocity function: `sum(amount by card over 1h)`.
type Window struct {
	Span
	Func Ident
	Of   *Path // event counted or field aggregated
	By   *Path
	Over *Literal
}

// Clone returns a window that shares nothing with x.
func (x *Window) Clone() *Window {
	clone, over := *x, *x.Over
	clone.Of, clone.By, clone.Over = x.Of.Clone(), x.By.Clone(), &over
	return &clone
}

// Quantifier is `any item in items (...)` or `all ...`.
type Quantifier struct {
	Span
	All  bool
	Var  Ident
	List *Path
	Body Expr
}

// Missing is `X is missing` or, with Not, `X is not missing`.
type Missing struct {
	Span
	X   Expr
	Not bool
}

// In is `X in Set` or, with Not, `X not in Set`. Set is a *Array, a *Range,
// a *NamedList, a *CIDR or a *Path of a list.
type In struct {
	Span
	X   Expr
	Not bool
	Set Expr
}

// Range is `Lo..Hi`, both ends included.
type Range struct {
	Span
	Lo, Hi Expr
}

// NamedList is `list @name`.
type NamedList struct {
	Span
	Name Ident // without '@'
}

// CIDR is `cidr 10.0.0.0/8` or `cidr [a, b]`.
type CIDR struct {
	Span
	Elems []*Literal
	Many  bool // written with brackets
}

// String returns the path as it is written, without backquotes.
func (x *Path) String() string {
	names := make([]string, len(x.Parts))
	for i, part := range x.Parts {
		names[i] = part.Name
	}
	return strings.Join(names, ".")
}

// Clone returns a path that shares nothing with x.
func (x *Path) Clone() *Path { return &Path{x.Span, append([]Ident(nil), x.Parts...)} }
