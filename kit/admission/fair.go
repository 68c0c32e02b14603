package admission

import "container/list"

// quantum is how many units a tenant of weight 1 may do in its turn.
const quantum = 8

// fair is a queue that serves tenants in turns (deficit round robin), each
// first come, first served. Only tenants that wait are in it.
type fair struct {
	cfg      Config
	lanes    map[string]*lane
	ring     list.List // of *lane, the one whose turn it is first
	units    int
	jobs     int
	kept     map[string]int // units that Holds keep room for, by tenant
	promised int            // their sum
}

type lane struct {
	tenant string
	weight int
	jobs   list.List // of *job
	units  int
	credit int // units that it may still do in its turn
	place  *list.Element
}

func newFair(cfg Config) *fair {
	return &fair{cfg: cfg, lanes: make(map[string]*lane), kept: make(map[string]int)}
}

// keep keeps room for so many units of a tenant more, or less.
func (f *fair) keep(tenant string, units int) {
	f.promised += units
	if f.kept[tenant] += units; f.kept[tenant] == 0 {
		delete(f.kept, tenant)
	}
}

func (f *fair) push(j *job) {
	l := f.lanes[j.Tenant]
	if l == nil {
		l = &lane{tenant: j.Tenant, weight: f.cfg.weight(j.Tenant)}
		l.credit = quantum * l.weight
		l.place = f.ring.PushBack(l)
		f.lanes[j.Tenant] = l
	}
	j.place = l.jobs.PushBack(j)
	l.units += j.Cost
	f.units += j.Cost
	f.jobs++
}

// first is whose turn it is, nil where nobody waits.
func (f *fair) first() *job {
	for f.ring.Len() > 0 {
		l := f.ring.Front().Value.(*lane)
		j := l.jobs.Front().Value.(*job)
		if j.Cost <= l.credit {
			return j
		}
		f.ring.MoveToBack(l.place)
		l.credit += quantum * l.weight
	}
	return nil
}

// pop removes what first returned.
func (f *fair) pop(j *job) {
	f.lanes[j.Tenant].credit -= j.Cost
	f.remove(j)
}

func (f *fair) remove(j *job) {
	l := f.lanes[j.Tenant]
	l.jobs.Remove(j.place)
	j.place = nil
	l.units -= j.Cost
	f.units -= j.Cost
	f.jobs--
	if l.jobs.Len() == 0 {
		f.ring.Remove(l.place)
		delete(f.lanes, l.tenant)
	}
}

// ahead is how many units are done before a newcomer's of these.
func (f *fair) ahead(tenant string, cost int) int {
	own, weight := cost+f.kept[tenant], f.cfg.weight(tenant)
	if l := f.lanes[tenant]; l != nil {
		own += l.units
	}
	sum := own - cost
	rounds := (own + quantum*weight - 1) / (quantum * weight)
	for _, l := range f.lanes {
		if l.tenant != tenant {
			sum += min(l.units+f.kept[l.tenant], rounds*quantum*l.weight)
		}
	}
	for other, units := range f.kept {
		if other != tenant && f.lanes[other] == nil {
			sum += min(units, rounds*quantum*f.cfg.weight(other))
		}
	}
	return sum
}
