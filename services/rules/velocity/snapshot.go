package velocity

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A snapshot is, with numbers in little endian:
//
//	magic, 8 bytes
//	for each partition: length of 4 bytes, content, CRC-32C
//	tables and note: length of 4 bytes, JSON, CRC-32C
//
// A partition's content is its mark of 8 bytes, since when it is counted, how
// many words of events there are and these, and the entries, each with its
// length before it, without the unused middle of its slot.
const snapshotMagic = "BLVELO\x00\x01"

// maxSection bounds a partition's content.
const maxSection = 1 << 30

// ErrSnapshot means a snapshot that is damaged or of another store.
var ErrSnapshot = errors.New("bad velocity snapshot")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type snapshotTables struct {
	Fingerprint uint64
	Note        []byte
	Tables      []snapshotTable
}

type snapshotTable struct {
	Table
	ColumnSince    []int64
	WindowSince    []int64
	WindowDeclared []int64
	Shapes         []uint64
}

// Snapshot writes all counters and the caller's note. mark is called for each
// partition while that is locked, which is as long as copying it takes, and
// Restore returns what it gave.
func (s *Store) Snapshot(w io.Writer, note []byte, mark func(partition int) uint64) error {
	buffered := bufio.NewWriterSize(w, 1<<18)
	if _, err := buffered.WriteString(snapshotMagic); err != nil {
		return err
	}
	var content []byte
	for p := range Partitions {
		content = s.shards[p].appendTo(content[:0], func() uint64 { return mark(p) })
		if err := writeSection(buffered, content); err != nil {
			return err
		}
	}
	// Tables only grow: all that the partitions refer to are among these.
	now := s.config.Clock().Unix()
	last := snapshotTables{Fingerprint: s.keys.fingerprint(), Note: note}
	for _, t := range *s.tables.Load() {
		state := t.state.Load()
		described := snapshotTable{Table: t.describe(), Shapes: state.shapes}
		described.Windows = nil
		for _, c := range state.columns {
			described.ColumnSince = append(described.ColumnSince, c.since)
		}
		for i := range state.windows {
			w := &state.windows[i]
			if w.current {
				w = &window{length: w.length, since: w.since, declared: now}
			}
			if !w.abandoned(now) {
				described.Windows = append(described.Windows, int64(w.length))
				described.WindowSince = append(described.WindowSince, w.since)
				described.WindowDeclared = append(described.WindowDeclared, w.declared)
			}
		}
		last.Tables = append(last.Tables, described)
	}
	content, err := json.Marshal(last)
	if err != nil {
		return err
	}
	if err := writeSection(buffered, content); err != nil {
		return err
	}
	return buffered.Flush()
}

func writeSection(w io.Writer, content []byte) error {
	var number [4]byte
	binary.LittleEndian.PutUint32(number[:], uint32(len(content)))
	sum := crc32.Update(0, castagnoli, number[:])
	for _, part := range [][]byte{number[:], content} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	binary.LittleEndian.PutUint32(number[:], crc32.Update(sum, castagnoli, content))
	_, err := w.Write(number[:])
	return err
}

func readSection(r io.Reader, into []byte) ([]byte, error) {
	var number [4]byte
	if _, err := io.ReadFull(r, number[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	length := binary.LittleEndian.Uint32(number[:])
	if length > maxSection {
		return nil, fmt.Errorf("%w: a section of %d bytes", ErrSnapshot, length)
	}
	sum := crc32.Update(0, castagnoli, number[:])
	if uint32(cap(into)) < length {
		into = make([]byte, length)
	}
	into = into[:length]
	if _, err := io.ReadFull(r, into); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	if _, err := io.ReadFull(r, number[:]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	if crc32.Update(sum, castagnoli, into) != binary.LittleEndian.Uint32(number[:]) {
		return nil, fmt.Errorf("%w: a checksum is wrong", ErrSnapshot)
	}
	return into, nil
}

// appendTo copies a partition.
func (s *shard) appendTo(out []byte, mark func() uint64) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	out = binary.LittleEndian.AppendUint64(out, mark())
	out = binary.LittleEndian.AppendUint64(out, uint64(s.since))
	at := len(out)
	out = binary.LittleEndian.AppendUint32(out, 0)
	words := uint32(0)
	for _, generation := range [][]uint64{s.events.older, s.events.newer} {
		for _, word := range generation {
			if word != 0 {
				out = binary.LittleEndian.AppendUint64(out, word)
				words++
			}
		}
	}
	binary.LittleEndian.PutUint32(out[at:], words)
	for number := range s.slab.chunks {
		k := &s.slab.chunks[number]
		for slot := range int(k.next) {
			e := s.entry(uint32(number)<<slotBits | uint32(slot))
			if e.data[0]&live == 0 {
				continue
			}
			head, tail := e.rowsAt()+e.rows()*e.rowBytes(), e.seenTotal()*seenBytes
			out = binary.LittleEndian.AppendUint32(out, uint32(head+tail))
			out = append(out, e.data[:head]...)
			out = append(out, e.data[e.size-tail:e.size]...)
		}
	}
	return out
}

// Restore reads a snapshot into a store in which nothing was declared or
// counted yet. It returns the note and the marks of the partitions. After an
// error the store is empty.
func (s *Store) Restore(r io.Reader) (note []byte, marks []uint64, err error) {
	if len(*s.tables.Load()) > 0 {
		return nil, nil, fmt.Errorf("%w: the store is in use", ErrSnapshot)
	}
	note, marks, err = s.restore(bufio.NewReaderSize(r, 1<<18))
	if err != nil {
		for p := range Partitions {
			s.Forget(p)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.tables.Store(&[]*table{})
		clear(s.named)
	}
	return note, marks, err
}

func (s *Store) restore(r io.Reader) (note []byte, marks []uint64, err error) {
	var magic [len(snapshotMagic)]byte
	if _, err := io.ReadFull(r, magic[:]); err != nil || string(magic[:]) != snapshotMagic {
		return nil, nil, fmt.Errorf("%w: it does not begin as one of this version", ErrSnapshot)
	}
	var content []byte
	var needs tableNeeds
	for p := range Partitions {
		if content, err = readSection(r, content); err != nil {
			return nil, nil, err
		}
		mark, ok := s.shards[p].restore(content, p, &needs)
		if !ok {
			return nil, nil, fmt.Errorf("%w: partition %d is malformed", ErrSnapshot, p)
		}
		marks = append(marks, mark)
	}
	if content, err = readSection(r, content); err != nil {
		return nil, nil, err
	}
	var last snapshotTables
	if err := json.Unmarshal(content, &last); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrSnapshot, err)
	}
	if last.Fingerprint != s.keys.fingerprint() {
		return nil, nil, fmt.Errorf("%w: its keys were hashed with another secret", ErrSnapshot)
	}
	if !s.restoreTables(last.Tables, &needs) {
		return nil, nil, fmt.Errorf("%w: its tables are malformed", ErrSnapshot)
	}
	return last.Note, marks, nil
}

// tableNeeds is what entries ask of their tables.
type tableNeeds map[uint16]*[3]int // value columns, seen columns, shapes

func (n *tableNeeds) note(table uint16, values, seens, shapes int) {
	if *n == nil {
		*n = tableNeeds{}
	}
	most := (*n)[table]
	if most == nil {
		most = new([3]int)
		(*n)[table] = most
	}
	*most = [3]int{max(most[0], values), max(most[1], seens), max(most[2], shapes)}
}

func (s *shard) restore(content []byte, partition int, needs *tableNeeds) (mark uint64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(content) < 20 {
		return 0, false
	}
	mark, s.since = binary.LittleEndian.Uint64(content), int64(binary.LittleEndian.Uint64(content[8:]))
	words := binary.LittleEndian.Uint32(content[16:])
	content = content[20:]
	if uint64(words)*8 > uint64(len(content)) {
		return 0, false
	}
	for range words {
		word := binary.LittleEndian.Uint64(content)
		s.events.note(word, uint16(word))
		content = content[8:]
	}
	for len(content) > 0 {
		if len(content) < 4 {
			return 0, false
		}
		length := binary.LittleEndian.Uint32(content)
		content = content[4:]
		if uint64(length) > uint64(len(content)) || !s.restoreEntry(content[:length], partition, needs) {
			return 0, false
		}
		content = content[length:]
	}
	return mark, true
}

func (s *shard) restoreEntry(packed []byte, partition int, needs *tableNeeds) bool {
	if len(packed) < atWidths+1 || packed[0]&live == 0 || len(packed) > maxEntry {
		return false
	}
	padded := entry{append(packed[:len(packed):len(packed)], make([]byte, slack)...), len(packed)}
	values, seens := padded.values(), padded.seens()
	if values > maxColumns || seens > maxColumns || padded.rowsAt() > len(packed) {
		return false
	}
	rowBytes := rowPrefix
	for _, width := range padded.data[atWidths : atWidths+1+values] {
		if width < 1 || width > 8 {
			return false
		}
		rowBytes += int(width)
	}
	head := padded.rowsAt() + padded.rows()*rowBytes
	h := padded.hash()
	if rowBytes != padded.rowBytes() || head+padded.seenTotal()*seenBytes != len(packed) || h.partition() != partition {
		return false
	}
	shapes := 0
	for i := range padded.rows() {
		_, shape := padded.rowTime(padded.rowsAt()+i*rowBytes, padded.newest())
		shapes = max(shapes, int(shape)+1)
	}
	key := spot{hash: h}
	if s.find(&key); key.found {
		return false
	}
	needs.note(padded.table(), values, seens, shapes)
	ref := s.slab.take(classOf(max(min(len(packed)+rowBytes+seenBytes, maxEntry), minSlot)))
	e := s.entry(ref)
	copy(e.data, packed[:head])
	copy(e.data[e.size-(len(packed)-head):], packed[head:])
	s.index.put(h, ref)
	return true
}

func (s *Store) restoreTables(tables []snapshotTable, needs *tableNeeds) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, described := range tables {
		state := &tableState{}
		if len(described.ColumnSince) != len(described.Fields) || len(described.WindowSince) != len(described.Windows) ||
			len(described.WindowDeclared) != len(described.Windows) ||
			len(described.Fields) > maxColumns || len(described.Units) > maxUnits || len(described.Shapes) > maxShapes ||
			described.Part < 0 || described.Part >= maxParts {
			return false
		}
		for i, field := range described.Fields {
			if field.Kind > Distinct {
				return false
			}
			state = state.withColumn(field, described.ColumnSince[i])
		}
		for i, length := range described.Windows {
			if length < 1 || length > maxWindow {
				return false
			}
			w := newWindowOf(uint32(length), s.config.Steps)
			w.since, w.declared = described.WindowSince[i], described.WindowDeclared[i]
			state.windows = append(state.windows, w)
		}
		state.units, state.shapes = described.Units, described.Shapes
		if most := (*needs)[uint16(id)]; most != nil && (most[0] > state.values || most[1] > state.seens || most[2] > len(state.shapes)) {
			return false
		}
		t := s.table(tableName{described.Scope, described.By, described.Part})
		if t == nil || int(t.id) != id {
			return false
		}
		t.state.Store(state)
	}
	for id := range *needs {
		if int(id) >= len(tables) {
			return false
		}
	}
	return true
}

// Forget empties a partition.
func (s *Store) Forget(partition int) {
	sh := &s.shards[partition]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.slab.clear()
	sh.index.clear()
	sh.since = 0
	sh.events = events{limit: sh.events.limit}
	sh.sweep, sh.hand = cursor{}, cursor{}
}

// CountedSince says that a partition has been counted here from a Unix second
// on: windows that reach before it are warming.
func (s *Store) CountedSince(partition int, since int64) {
	sh := &s.shards[partition]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.since = since
}
