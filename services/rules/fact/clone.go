package fact

import "slices"

// Clone returns a layout with the same slots to which more can be added. It
// must be sealed again.
func (l *Layout) Clone() *Layout { return &Layout{l.schema, l.root.clone()} }

func (s *Scope) clone() *Scope {
	return &Scope{message: s.message.clone(), template: slices.Clone(s.template)}
}

// clone leaves out what sealing added but for the fields of oneofs, which
// sealing finds again.
func (m *message) clone() *message {
	if m == nil {
		return nil
	}
	c := &message{desc: m.desc, top: m.top}
	for _, f := range m.fields {
		field := *f
		field.clears = nil
		field.sub = f.sub.clone()
		if f.elem != nil {
			field.elem = f.elem.clone()
		}
		c.fields = append(c.fields, &field)
	}
	return c
}
