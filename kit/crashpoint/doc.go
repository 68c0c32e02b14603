// Package crashpoint names the places where a process may die, for tests that
// kill it there.
//
//	var beforeCommit = crashpoint.New("settlement/confirm/before-commit") // package level
//	beforeCommit.Hit()
//
// Without the build tag `crashpoint` all of it compiles to nothing. With the
// tag, and the environment variable BACKLOT_CRASH_AT=name[:n], the process
// kills itself (SIGKILL, nothing is flushed) at the n-th hit of the point of
// that name, the first where n is absent. Names lists the points linked in.
//
//	on.go   with the tag
//	off.go  without
package crashpoint

// Variable is the environment variable that arms a point.
const Variable = "BACKLOT_CRASH_AT"
