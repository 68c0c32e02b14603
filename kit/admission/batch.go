package admission

import "time"

const (
	// slopeTime is the time in which two thirds of a change of the slope are
	// believed: it takes many batches to be seen.
	slopeTime = 1 * time.Second
	// spread is how much sizes of batches have to differ, by their mean, that as
	// much is believed of how their times differ as that time grows with size.
	spread = 0.15
	// apart is the share of a batch's time that has no end in it at the least:
	// what ends closer together is of one batch.
	apart = 0.1
	// outlier is how many times as long as others a batch is at most believed to
	// take.
	outlier = 4
)

// batches learns what batches take by what is in them. Their ends show which
// jobs were of one: those come close together. That a batch takes a time even
// with little in it matters where it is long, as on a slow disk: by time over
// work alone little would be let in, and a unit would seem to take long
// because of that.
type batches struct {
	size, time float64 // means, smoothed
	squares    float64 // of differences from the mean size, smoothed slowly
	products   float64 // of those of size and time, the same

	began time.Time // the end of the batch before, or of idleness
	first time.Time // the first end of this one
	last  time.Time // the last one
	units int       // that have ended in this batch

	stalled bool // the batch before took longer than is believed
}

func newBatches() batches { return batches{size: 1, time: float64(firstEach)} }

// begin tells that something is done after nothing was.
func (b *batches) begin(now time.Time) {
	b.learn()
	b.began = now
}

// end tells that a job has come to its end. One that was let through after the
// first of the batch had ended was not in it.
func (b *batches) end(now time.Time, j *job) {
	if b.units > 0 && (float64(now.Sub(b.last)) > apart*b.time || !j.begun.Before(b.first)) {
		ended := b.last
		b.learn()
		b.began = ended
	}
	if b.units == 0 {
		b.first = now
	}
	b.units += j.Cost
	b.last = now
}

// learn takes the batch that has ended, if one has.
func (b *batches) learn() {
	if b.units == 0 {
		return
	}
	took := max(0, b.last.Sub(b.began))
	longest := b.longest()
	if b.stalled = took > longest && !b.stalled; b.stalled {
		took = longest
	}
	size, spent := float64(b.units), float64(min(took, adaptTime))
	quick, slow := weight(took), float64(took)/float64(took+slopeTime)
	b.units = 0
	if b.squares == 0 && b.products == 0 && b.size == 1 && size > 1 {
		b.size, b.time = size, spent
		return
	}
	b.squares += slow * ((size-b.size)*(size-b.size) - b.squares)
	b.products += slow * ((size-b.size)*(spent-b.time) - b.products)
	b.size += quick * (size - b.size)
	b.time += quick * (spent - b.time)
}

// longest is the most that is believed of one batch. One that stalls does not
// tell what the next will take; a second one does.
func (b *batches) longest() time.Duration { return time.Duration(outlier * b.time) }

// slope is what a further unit takes, in ns.
func (b *batches) slope() float64 {
	most := b.time / b.size // then nothing is fixed
	return min(max((b.products+b.doubt()*most)/(b.squares+b.doubt()), most/16), most)
}

func (b *batches) doubt() float64 { return spread * spread * b.size * b.size }

// tries is how large a batch may be for the sake of learning.
func (b *batches) tries() float64 {
	if b.squares > b.doubt() {
		return 0
	}
	return 2 * b.size
}

// fixed is what a batch takes without what is in it, in ns.
func (b *batches) fixed() float64 { return b.time - b.slope()*b.size }

// takes is what a batch of so many units takes, in ns.
func (b *batches) takes(units float64) float64 { return b.fixed() + b.slope()*units }
