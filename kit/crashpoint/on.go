//go:build crashpoint

package crashpoint

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// Enabled tells whether the program was built with the tag.
const Enabled = true

// Point is a place where a process may die.
type Point struct {
	name string
	due  *atomic.Int64 // nil: not armed
}

var (
	mu    sync.Mutex
	names []string
)

// New names a point. Names are unique in a program, without a colon; New
// panics where they are not, and where the environment variable is malformed.
func New(name string) Point {
	mu.Lock()
	defer mu.Unlock()
	if name == "" || strings.Contains(name, ":") || slices.Contains(names, name) {
		panic(fmt.Sprintf("crashpoint: name %q is empty, taken or has a colon", name))
	}
	names = append(names, name)
	for _, entry := range strings.Split(os.Getenv(Variable), ",") {
		armed, count, counted := strings.Cut(entry, ":")
		hits := int64(1)
		if counted {
			var err error
			if hits, err = strconv.ParseInt(count, 10, 64); err != nil || hits < 1 {
				panic(fmt.Sprintf("crashpoint: %s=%s: the count is no number above 0", Variable, entry))
			}
		}
		if armed == name {
			due := new(atomic.Int64)
			due.Store(hits)
			return Point{name: name, due: due}
		}
	}
	return Point{}
}

// Hit dies where the point is armed and due, and says on stderr where.
func (p Point) Hit() {
	if p.due == nil || p.due.Add(-1) != 0 {
		return
	}
	_, _ = os.Stderr.WriteString(Died + p.name + "\n")
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(fmt.Sprintf("crashpoint: kill itself: %v", err))
	}
	select {} // until the signal arrives
}

// Names returns the names of all points, sorted.
func Names() []string {
	mu.Lock()
	defer mu.Unlock()
	return slices.Sorted(slices.Values(names))
}
