package counting

import (
	"context"
	"errors"
	"sync"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

var errNoJournal = errors.New("velocity has no journal")

// Run implements velocity.Counters: keys of other replicas are counted there,
// in one call for each. Where that does not answer in time, this replica does
// if it is the standby, else the key reads as missing.
func (c *Counts) Run(ops []velocity.Op) {
	now := c.cluster.current.Load()
	if now == nil || len(now.members) == 1 {
		c.Store.Run(ops)
		return
	}
	var away map[string]*errand
	own := 0 // ops from here on are this replica's
	for i := range ops {
		op := &ops[i]
		var record velocity.Record
		if !c.Record(op, &record) {
			continue // the store finds so, too
		}
		owner := now.owners[record.Partition()]
		if owner == now.self {
			continue
		}
		c.Store.Run(ops[own:i])
		own = i + 1
		if away == nil {
			away = map[string]*errand{}
		}
		if away[owner] == nil {
			away[owner] = &errand{tables: newTableList(c.Store)}
		}
		away[owner].add(op, &record)
	}
	c.Store.Run(ops[own:])
	var running sync.WaitGroup
	for owner, e := range away {
		running.Go(func() { c.send(owner, e) })
	}
	running.Wait()
}

// errand is what one other replica is asked.
type errand struct {
	tables  *tableList
	ops     []*velocity.Op
	request rulesv1.CountRequest
}

func (e *errand) add(op *velocity.Op, record *velocity.Record) {
	op.OK = false
	question := &rulesv1.CountQuestion{Record: e.tables.record(record), Add: op.Add}
	for i := range op.Group.Queries {
		question.Queries = append(question.Queries, &rulesv1.CountQuery{
			Column: uint32(op.Group.Column(i)), Window: seconds(op.Group.Queries[i].Window),
		})
	}
	e.ops = append(e.ops, op)
	e.request.Questions = append(e.request.Questions, question)
	e.request.Tables = e.tables.tables
}

// send asks, and sets the readings that are answered in time.
func (c *Counts) send(owner string, e *errand) {
	ctx, cancel := context.WithTimeout(context.Background(), c.config.Timeout)
	defer cancel()
	c.metrics.remote.Add(float64(len(e.ops)))
	response, err := c.config.Peers.Client(owner).Count(ctx, &e.request)
	if err != nil || len(response.GetAnswers()) != len(e.ops) {
		c.config.Log.Debug("another replica does not count", "replica", owner, "err", err)
		for i := range e.ops {
			c.standIn(e, i)
		}
		return
	}
	for i, answer := range response.GetAnswers() {
		op := e.ops[i]
		if answer.GetMoved() || len(answer.GetReadings()) != len(op.Readings) {
			c.standIn(e, i)
			continue
		}
		for j, reading := range answer.GetReadings() {
			op.Readings[j] = readingFromProto(reading)
		}
		op.OK = true
	}
}

// standIn counts a key whose owner has not answered. The owner may have counted
// it all the same: an event without an id is only read, so that it cannot count
// twice; one with an id is told apart when the journal brings it.
func (c *Counts) standIn(e *errand, i int) {
	op := e.ops[i]
	question := e.request.GetQuestions()[i].GetRecord()
	if !c.cluster.holds(int(question.GetKeyHigh() >> 56)) {
		c.metrics.unreachable.Inc()
		return
	}
	c.metrics.stoodIn.Inc()
	own := []velocity.Op{*op}
	own[0].Add = op.Add && op.Event != 0
	c.Store.Run(own) // the readings are shared
	op.OK = own[0].OK
}
