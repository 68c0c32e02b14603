package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

const barWidth = 30

// screen prints steps and progress bars. Bars are redrawn in place on a
// terminal; elsewhere only their end is printed.
type screen struct {
	mu       sync.Mutex
	out      io.Writer
	terminal bool
	open     bool
}

func (s *screen) step(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLine()
	_, _ = fmt.Fprintf(s.out, "• "+format+"\n", args...)
}

// bar draws done of total with a note.
func (s *screen) bar(name string, done, total int64, note string) {
	if total <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.terminal && done < total {
		return
	}
	filled := int(done * barWidth / total)
	_, _ = fmt.Fprintf(s.out, "\r  %-10s [%s%s] %3d%% %-24s", name,
		strings.Repeat("█", filled), strings.Repeat("░", barWidth-filled), done*100/total, note)
	s.open = true
	if done >= total {
		s.endLine()
	}
}

func (s *screen) endLine() {
	if s.open {
		_, _ = fmt.Fprintln(s.out)
		s.open = false
	}
}
