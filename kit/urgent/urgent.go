// Package urgent has the system run some work of a process before its other
// work: what all callers wait for, such as a commit, before what one of them waits
// for, such as the answer that there is no room.
package urgent

// Do calls fn, on a thread that the system prefers to the process's others
// where the process may ask for that: on Linux as root, with CAP_SYS_NICE, or by a
// limit of nice (RLIMIT_NICE; LimitNICE= of systemd) of -5 or lower. Elsewhere it
// just calls fn. fn may block; goroutines that it starts are not preferred.
func Do(fn func()) { do(fn) }
