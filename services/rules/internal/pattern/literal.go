package pattern

// literals are runs of positions that a match has one after the other, each of
// one character. What stands in one of several alternatives or may be left out
// is taken back by forget.
type literals struct {
	run        int  // where the run that ends at the last position begins
	opening    int  // length of the run at the begin
	closed     bool // it has ended
	best, size int  // begin and length of the longest run
}

// extend adds the newest position, of one character.
func (p *parser) extend(c byte, n int) {
	p.chars[n-1] = c
	if !p.closed {
		p.opening = n
	}
	if n-p.run > p.size {
		p.best, p.size = p.run, n-p.run
	}
}

// interrupt ends the run: what comes next need not follow the newest position,
// or (keep) need not follow the one before it.
func (p *parser) interrupt(keep bool) {
	p.closed = true
	p.run = p.n
	if keep && p.chars[p.n-1] != 0 {
		p.run--
	}
}

// forget takes back what was found since before.
func (p *parser) forget(before literals) {
	p.literals = before
	p.interrupt(false)
}
