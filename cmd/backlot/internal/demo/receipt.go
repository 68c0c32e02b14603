package demo

import (
	"fmt"
	"io"
	"sort"
	"strings"
	"time"

	"github.com/backlot-video/backlot/kit/money"
	moneyv1 "github.com/backlot-video/backlot/proto/gen/backlot/money/v1"
	settlementv1 "github.com/backlot-video/backlot/proto/gen/backlot/settlement/v1"
	storefrontv1 "github.com/backlot-video/backlot/proto/gen/backlot/storefront/v1"
)

const rule = "────────────────────────────────────────────────────────────────"

// receipt prints what happened, for a person.
func (r *run) receipt(out io.Writer, video *storefrontv1.Video, s *sale, p *played, l *learned) {
	line := func(name, format string, args ...any) {
		_, _ = fmt.Fprintf(out, "  %-14s %s\n", name, fmt.Sprintf(format, args...))
	}
	_, _ = fmt.Fprintf(out, "\n%s\n  BACKLOT RECEIPT%s%s\n%s\n", rule,
		strings.Repeat(" ", 28), time.UnixMicro(s.order.GetUpdatedAt()).UTC().Format("2006-01-02 15:04 MST"), rule)
	line("video", "%s (%s, %dx%d)", video.GetTitle(), clock(video.GetDuration()), video.GetWidth(), video.GetHeight())
	line("seller", "%s", r.state.Creator.Name)
	line("buyer", "%s <%s>", r.state.Buyer.Name, r.state.Buyer.Email)
	line("order", "%s", s.order.GetId())
	line("price", "%s", amount(s.order.GetPrice()))
	line("risk", "%s, ruleset %s, release %.8s…", s.order.GetRisk().GetVerdict(), s.order.GetRisk().GetRuleset(), tail(s.order.GetRisk().GetRulesetVersion()))
	line("before that", "a stolen card was refused (%s); nothing was charged", strings.Join(s.denied.GetRisk().GetReasons(), ", "))
	_, _ = fmt.Fprintf(out, "\n  Ledger, transfer %d of the chain, hash %x…\n", s.transfer.GetSequence(), s.transfer.GetHash()[:min(6, len(s.transfer.GetHash()))])
	for _, posting := range ordered(s.transfer.GetPostings()) {
		side, sign := "credit", "+"
		if posting.GetSide() == settlementv1.Side_SIDE_DEBIT {
			side, sign = "debit", "-"
		}
		_, _ = fmt.Fprintf(out, "    %-7s %-24s %s%12s\n", side, posting.GetPurpose(), sign, amount(posting.GetAmount()))
	}
	_, _ = fmt.Fprintf(out, "    %-32s %13d\n", "sum", sumOf(s.transfer))
	line("wallet", "%s left of 20.00 USD", amount(s.balance))
	line("books", "%d transfers verified, every balance recomputed", s.ledger.GetTransfers())
	_, _ = fmt.Fprintln(out)
	line("played", "%d playlists, %d segments, %s, %.1f s by a signed address", p.renditions, p.segments, sizeText(p.bytes), p.seconds)
	line("refused", "without a purchase, and with a forged address")
	if l != nil {
		r.recommendations(out, l)
	}
	_, _ = fmt.Fprintln(out, rule)
}

func (r *run) recommendations(out io.Writer, l *learned) {
	_, _ = fmt.Fprintf(out, "\n  Recommendations (%s by %s, %d viewers, %d videos, %d views)\n",
		l.strategy, l.model.GetBlas(), l.model.GetViewers(), l.model.GetVideos(), l.model.GetViews())
	_, _ = fmt.Fprintf(out, "    who likes %-10s %s\n", tastes[0]+":", strings.Join(l.forA, "; "))
	_, _ = fmt.Fprintf(out, "    who likes %-10s %s\n", tastes[1]+":", strings.Join(l.forB, "; "))
	ratio := func(model, popular float32) float32 {
		if popular == 0 {
			return 0
		}
		return model / popular
	}
	_, _ = fmt.Fprintf(out, "    held-out recall@10 %.3f, popularity %.3f (%.1fx); with shuffled views %.3f, popularity %.3f (%.1fx)\n",
		l.model.GetRecallAt_10(), l.model.GetPopularityRecallAt_10(), ratio(l.model.GetRecallAt_10(), l.model.GetPopularityRecallAt_10()),
		l.shuffled.GetRecallAt_10(), l.shuffled.GetPopularityRecallAt_10(), ratio(l.shuffled.GetRecallAt_10(), l.shuffled.GetPopularityRecallAt_10()))
}

// ordered puts debits before credits, large before small.
func ordered(postings []*settlementv1.Posting) []*settlementv1.Posting {
	sorted := append([]*settlementv1.Posting{}, postings...)
	sort.SliceStable(sorted, func(i, j int) bool {
		if sorted[i].GetSide() != sorted[j].GetSide() {
			return sorted[i].GetSide() == settlementv1.Side_SIDE_DEBIT
		}
		return sorted[i].GetAmount().GetMinor() > sorted[j].GetAmount().GetMinor()
	})
	return sorted
}

func amount(m *moneyv1.Money) string {
	return money.Amount{Minor: m.GetMinor(), Currency: m.GetCurrency()}.Format()
}

func clock(micros int64) string {
	d := time.Duration(micros) * time.Microsecond
	return fmt.Sprintf("%d:%04.1f", int(d.Minutes()), (d % time.Minute).Seconds())
}

// tail is the part of a UUIDv7 that tells two of one day apart.
func tail(id string) string { return id[max(0, len(id)-12):] }
