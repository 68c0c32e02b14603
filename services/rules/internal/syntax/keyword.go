package syntax

import "unicode/utf8"

// Word is a keyword, whichever language it is written in.
type Word uint8

// The keywords. Only those that wordReserved names are reserved in
// expressions; the others may name fields and rules.
const (
	wordNone Word = iota
	wordRule
	wordList
	wordTest
	wordWhen
	wordThen
	wordGiven
	wordExpect
	wordBecause
	wordPriority
	wordTags
	wordLive
	wordShadow
	wordCanary
	wordBy
	wordOver
	wordAllow
	wordChallenge
	wordReview
	wordDeny
	wordScore
	wordReason
	wordOr
	wordAnd
	wordNot
	wordIn
	wordIs
	wordMissing
	wordAny
	wordAll
	wordTrue
	wordFalse
	wordCIDR
	wordDefault
	wordContains
	wordStartsWith
	wordEndsWith
	wordMatches
	wordExact
	wordPrefix
	wordCount
)

// spelling holds each keyword in English and in Chinese.
var spelling = [wordCount][2]string{
	wordRule:       {"rule", "规则"},
	wordList:       {"list", "名单"},
	wordTest:       {"test", "测试"},
	wordWhen:       {"when", "当"},
	wordThen:       {"then", "则"},
	wordGiven:      {"given", "给定"},
	wordExpect:     {"expect", "预期"},
	wordBecause:    {"because", "因为"},
	wordPriority:   {"priority", "优先级"},
	wordTags:       {"tags", "标签"},
	wordLive:       {"live", "上线"},
	wordShadow:     {"shadow", "影子"},
	wordCanary:     {"canary", "灰度"},
	wordBy:         {"by", "按"},
	wordOver:       {"over", "近"},
	wordAllow:      {"allow", "放行"},
	wordChallenge:  {"challenge", "验证"},
	wordReview:     {"review", "复核"},
	wordDeny:       {"deny", "拒绝"},
	wordScore:      {"score", "分值"},
	wordReason:     {"reason", "原因"},
	wordOr:         {"or", "或"},
	wordAnd:        {"and", "且"},
	wordNot:        {"not", "非"},
	wordIn:         {"in", "属于"},
	wordIs:         {"is", "为"},
	wordMissing:    {"missing", "缺失"},
	wordAny:        {"any", "任一"},
	wordAll:        {"all", "所有"},
	wordTrue:       {"true", "真"},
	wordFalse:      {"false", "假"},
	wordCIDR:       {"cidr", "网段"},
	wordDefault:    {"default", "默认"},
	wordContains:   {"contains", "包含"},
	wordStartsWith: {"starts_with", "开头是"},
	wordEndsWith:   {"ends_with", "结尾是"},
	wordMatches:    {"matches", "匹配"},
	wordExact:      {"exact", "精确"},
	wordPrefix:     {"prefix", "前缀"},
}

// wordOf returns the keyword that a name spells, or wordNone. Names in ASCII are
// looked up by a switch, which is faster than the map.
func wordOf(text string) Word {
	if text[0] >= utf8.RuneSelf {
		return words[text]
	}
	if len(text) > 4 {
		return longWord(text)
	}
	switch text {
	case "rule":
		return wordRule
	case "list":
		return wordList
	case "test":
		return wordTest
	case "when":
		return wordWhen
	case "then":
		return wordThen
	case "tags":
		return wordTags
	case "live":
		return wordLive
	case "by":
		return wordBy
	case "over":
		return wordOver
	case "deny":
		return wordDeny
	case "or":
		return wordOr
	case "and":
		return wordAnd
	case "not":
		return wordNot
	case "in":
		return wordIn
	case "is":
		return wordIs
	case "any":
		return wordAny
	case "all":
		return wordAll
	case "true":
		return wordTrue
	case "cidr":
		return wordCIDR
	}
	return wordNone
}

// longWord looks up a name of more than four letters.
func longWord(text string) Word {
	switch text {
	case "given":
		return wordGiven
	case "expect":
		return wordExpect
	case "because":
		return wordBecause
	case "priority":
		return wordPriority
	case "shadow":
		return wordShadow
	case "canary":
		return wordCanary
	case "allow":
		return wordAllow
	case "challenge":
		return wordChallenge
	case "review":
		return wordReview
	case "score":
		return wordScore
	case "reason":
		return wordReason
	case "missing":
		return wordMissing
	case "false":
		return wordFalse
	case "default":
		return wordDefault
	case "contains":
		return wordContains
	case "starts_with":
		return wordStartsWith
	case "ends_with":
		return wordEndsWith
	case "matches":
		return wordMatches
	case "exact":
		return wordExact
	case "prefix":
		return wordPrefix
	}
	return wordNone
}

var words = func() map[string]Word {
	table := make(map[string]Word, 2*int(wordCount))
	for word, names := range spelling {
		for _, name := range names {
			if name != "" {
				table[name] = Word(word)
			}
		}
	}
	return table
}()

// reserved reports whether a field of this name needs backquotes where an
// operand is expected.
func (w Word) reserved() bool {
	switch w {
	case wordOr, wordAnd, wordNot, wordIn, wordIs, wordAny, wordAll, wordTrue, wordFalse, wordWhen, wordThen:
		return true
	default:
		return false
	}
}

// action returns the action that a keyword names, or 0.
func (w Word) action() Action {
	if w >= wordAllow && w <= wordDeny {
		return Action(w-wordAllow) + Allow
	}
	return 0
}

// String returns the action's keyword.
func (a Action) String() string {
	if a < Allow || a > Deny {
		return "none"
	}
	return spelling[wordAllow+Word(a-Allow)][0]
}

// String returns the state's keyword.
func (s State) String() string {
	return [...]string{"live", "shadow", "canary"}[s]
}

var operators = [...]struct {
	text string
	word Word
}{
	OpOr: {"", wordOr}, OpAnd: {"", wordAnd}, OpContains: {"", wordContains},
	OpStartsWith: {"", wordStartsWith}, OpEndsWith: {"", wordEndsWith},
	OpMatches: {"", wordMatches}, OpDefault: {"", wordDefault},
	OpEq: {text: "=="}, OpNe: {text: "!="}, OpLt: {text: "<"}, OpLe: {text: "<="},
	OpGt: {text: ">"}, OpGe: {text: ">="}, OpAdd: {text: "+"}, OpSub: {text: "-"},
	OpMul: {text: "*"}, OpDiv: {text: "/"}, OpMod: {text: "%"},
}

// String returns the operator in English.
func (o Op) String() string { return o.in(0) }

// in returns the operator in a language: 0 English, 1 Chinese.
func (o Op) in(language int) string {
	if word := operators[o].word; word != wordNone {
		return spelling[word][language]
	}
	return operators[o].text
}
