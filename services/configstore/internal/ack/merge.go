package ack

// Merge makes one list, in order of ids, of what members were told: an instance
// that went from one to another counts once, by what it said last.
func Merge(parts ...[]Entry) []Entry {
	newest := make(map[string]Entry)
	for _, part := range parts {
		for _, entry := range part {
			if known, found := newest[entry.ID()]; !found || later(entry.Report, known.Report) {
				newest[entry.ID()] = entry
			}
		}
	}
	return sorted(newest)
}

// Page is the entries after an id, at most limit, of a list in order of ids.
func Page(entries []Entry, after string, limit int) (page []Entry, next string) {
	for n, entry := range entries {
		if entry.ID() <= after {
			continue
		}
		if page = entries[n:]; len(page) > limit {
			return page[:limit], page[limit-1].ID()
		}
		return page, ""
	}
	return nil, ""
}
