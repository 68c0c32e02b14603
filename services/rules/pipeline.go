package rules

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/backlot-video/backlot/services/rules/internal/check"
	"github.com/backlot-video/backlot/services/rules/internal/syntax"
)

// Sizes of what is compiled by several goroutines.
const (
	leastPiped  = 128 << 10 // bytes of source; less is compiled in no time
	parcelItems = 32
	parcels     = 4 // on their way
)

// parcel is some items of a source on their way from reading to checking to
// building, with the memory of their trees, which is used again.
type parcel struct {
	trees syntax.Nodes
	nodes check.Nodes
	items []syntax.Item
	first int           // number of the first rule that is to be built
	whens []*check.Node // of the rules that are to be built
}

// readPiped is read with one goroutine to read, one to check and one to build.
// Each sees all items in their order, so the program is the same.
func (c *compiler) readPiped() []syntax.Fault {
	free, read, checked := make(chan *parcel, parcels), make(chan *parcel, parcels), make(chan *parcel, parcels)
	for range parcels {
		free <- &parcel{}
	}
	var failed [2]any
	var others sync.WaitGroup
	others.Go(func() { failed[0] = caught(func() { c.readParcels(free, read) }) })
	others.Go(func() {
		failed[1] = caught(func() { c.buildParcels(checked, free) })
		for p := range checked { // nobody waits for one that has failed
			p.empty()
			free <- p
		}
	})
	c.checkParcels(read, checked, free)
	others.Wait()
	for _, fault := range failed {
		if fault != nil {
			panic(fault)
		}
	}
	c.parcel = nil
	c.checker.Into(&check.Nodes{}) // of the tests
	return c.faults()
}

// caught runs a part of the pipeline and returns what it panicked with: on a
// goroutine of its own that would end the process, where the caller of Compile
// may be prepared for it.
func caught(run func()) (fault any) {
	defer func() {
		if value := recover(); value != nil {
			fault = fmt.Sprintf("%v\n\n%s", value, debug.Stack())
		}
	}()
	run()
	return nil
}

// checkParcels checks what was read. The others end after it, however it does.
func (c *compiler) checkParcels(read <-chan *parcel, checked, free chan<- *parcel) {
	defer func() {
		close(checked)
		for p := range read {
			p.empty()
			free <- p
		}
	}()
	for p := range read {
		c.checker.Into(&p.nodes)
		c.parcel, p.first = p, len(c.made)
		for _, item := range p.items {
			c.item(item)
		}
		checked <- p
	}
}

// readParcels reads the source to its end.
func (c *compiler) readParcels(free <-chan *parcel, read chan<- *parcel) {
	defer close(read)
	for more := true; more; {
		p := <-free
		c.reader.Into(&p.trees)
		for len(p.items) < parcelItems {
			item := c.reader.Next()
			if more = item != nil; !more {
				break
			}
			p.items = append(p.items, item)
		}
		read <- p
	}
}

// buildParcels builds what was checked and gives the parcels back.
func (c *compiler) buildParcels(checked <-chan *parcel, free chan<- *parcel) {
	for p := range checked {
		for i, when := range p.whens {
			c.builder.Add(p.first+i, when)
		}
		p.empty()
		free <- p
	}
}

// empty makes the parcel and its memory free for others.
func (p *parcel) empty() {
	clear(p.items)
	clear(p.whens)
	p.items, p.whens = p.items[:0], p.whens[:0]
	p.nodes.Reset()
	p.trees.Reset()
}

// piped reports whether a source is compiled by several goroutines.
func piped(source string) bool { return len(source) >= leastPiped && runtime.GOMAXPROCS(0) > 1 }
