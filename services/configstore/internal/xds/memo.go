package xds

// memo keeps what was made of inputs, so that the same inputs give the same
// value again, by pointer. The zero value is ready.
type memo[M any] struct {
	kept, used map[string]made[M]
}

type made[M any] struct {
	from  [2]any
	value M
}

// of returns what was made of these inputs under this name, or what fresh makes of them.
// Inputs are compared by ==: give pointers to what is never changed.
func (m *memo[M]) of(name string, from [2]any, fresh func() (M, error)) (M, error) {
	for _, known := range []map[string]made[M]{m.used, m.kept} {
		if before, found := known[name]; found && before.from == from {
			m.use(name, before)
			return before.value, nil
		}
	}
	value, err := fresh()
	if err == nil {
		m.use(name, made[M]{from, value})
	}
	return value, err
}

func (m *memo[M]) use(name string, one made[M]) {
	if m.used == nil {
		m.used = make(map[string]made[M], len(m.kept))
	}
	m.used[name] = one
}

// turn ends a round: what was not asked for in it is forgotten.
func (m *memo[M]) turn() { m.kept, m.used = m.used, nil }
