package program

import (
	"sort"
	"sync"
	"time"

	"github.com/backlot-video/backlot/services/rules/internal/check"
)

// zone has the offsets of a time zone as a table, so that an hour costs a
// search and no more.
type zone struct {
	from   []int64 // Unix seconds from which offset holds, ascending
	offset []int64 // seconds east of UTC
	end    int64   // where the table ends
	of     *time.Location
}

var zones sync.Map // *zone by location name; there are some 600

// zoneOf returns the table of a location, from 1970 to 2100.
func zoneOf(location *time.Location) *zone {
	if known, ok := zones.Load(location.String()); ok {
		return known.(*zone)
	}
	z := &zone{of: location, end: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC).Unix()}
	for at := time.Unix(0, 0).In(location); at.Unix() < z.end; {
		_, offset := at.Zone()
		z.from, z.offset = append(z.from, at.Unix()), append(z.offset, int64(offset))
		_, next := at.ZoneBounds()
		if next.IsZero() {
			break
		}
		if !next.After(at) {
			next = at.Add(24 * time.Hour) // so it is on the last day of a leap year: bounds end before they begin
		}
		at = next
	}
	known, _ := zones.LoadOrStore(location.String(), z)
	return known.(*zone)
}

// local returns the seconds that a wall clock of the zone has counted since
// 1970.
func (z *zone) local(at int64) int64 {
	seconds := at / 1_000_000
	if at%1_000_000 < 0 {
		seconds--
	}
	switch {
	case seconds < 0 || seconds >= z.end:
		_, offset := time.Unix(seconds, 0).In(z.of).Zone()
		return seconds + int64(offset)
	case seconds >= z.from[len(z.from)-1]:
		return seconds + z.offset[len(z.from)-1]
	}
	i := sort.Search(len(z.from), func(i int) bool { return z.from[i] > seconds }) - 1
	return seconds + z.offset[i]
}

const daySeconds = 24 * 3600

// calendar compiles hour, weekday, day and month.
func calendar(n *check.Node) func(*Frame) (int64, bool) {
	z := zoneOf(n.Zone)
	if n.Op == check.Hour && ofFact(n.Args[0]) { // what most rules ask for
		slot := n.Args[0].Slot
		return func(f *Frame) (int64, bool) {
			s := &f.Record.Slots[slot]
			if !s.OK {
				return 0, false
			}
			second := z.local(s.N) % daySeconds
			if second < 0 {
				second += daySeconds
			}
			return second / 3600, true
		}
	}
	at, part := ints(n.Args[0]), calendarPart(n.Op)
	return func(f *Frame) (int64, bool) {
		v, ok := at(f)
		if !ok {
			return 0, false
		}
		local := z.local(v)
		days := local / daySeconds
		if local%daySeconds < 0 {
			days--
		}
		return part(days, local-days*daySeconds), true
	}
}

const (
	hourMicros = 3600 * 1_000_000
	dayMicros  = 24 * hourMicros
)

// hours is `hour(field) in low..high` without finding the hour, for the times
// since the zone's last change; of others exact tells.
func hours(z *zone, slot int, low, high int64, negate bool, exact Cond) Cond {
	since, offset := z.from[len(z.from)-1], z.offset[len(z.from)-1]
	since = max(since, -offset) * 1_000_000
	length := uint64(z.end*1_000_000 - since)
	begin := offset*1_000_000 + dayMicros - low*hourMicros // so that low is the day's first hour
	span := uint64(high-low+1) * hourMicros
	return func(f *Frame) bool {
		s := &f.Record.Slots[slot]
		if uint64(s.N-since) >= length {
			return exact(f)
		}
		return s.OK && (uint64(s.N+begin)%dayMicros < span) != negate
	}
}

// calendarPart computes a part from days since 1970 and seconds of the day.
func calendarPart(op check.Op) func(days, second int64) int64 {
	switch op {
	case check.Hour:
		return func(_, second int64) int64 { return second / 3600 }
	case check.Weekday:
		return func(days, _ int64) int64 { return ((days+3)%7+7)%7 + 1 }
	case check.Day:
		return func(days, _ int64) int64 { return int64(time.Unix(days*daySeconds, 0).UTC().Day()) }
	default:
		return func(days, _ int64) int64 { return int64(time.Unix(days*daySeconds, 0).UTC().Month()) }
	}
}
