// Package crashpoint names the places where a process may die, for tests that
// kill it there.
//
//	var beforeCommit = crashpoint.New("settlement/confirm/before-commit") // package level
//	beforeCommit.Hit()
//
// Without the build tag `crashpoint` all of it compiles to nothing. With the
// tag, and the environment variable BACKLOT_CRASH_AT=name[:n],..., the process
// kills itself (SIGKILL, nothing is flushed) at the n-th hit of a point of
// those names, the first where n is absent, and names it on stderr before.
// Names lists the points linked in.
//
//	on.go   with the tag
//	off.go  without
package crashpoint

// Variable is the environment variable that arms a point.
const Variable = "BACKLOT_CRASH_AT"

// Died is followed by the point's name in the line that a process writes to
// stderr before it dies.
const Died = "crashpoint: died at "
