// Package timeslice has a process's threads take shorter turns on the processors, so
// that a thread with little to do need not wait for those that compute on end.
//
// A thread that is ready waits until those before it on its processor have had their
// turns, of some milliseconds each. Linux lets a thread ask for shorter ones since
// version 6.12, without any right: its share of the processor stays as it is, but it
// comes on sooner, and before those with longer turns. Before that, and on other
// systems, everything stays as it is.
//
// Go gives its own processors away every 10 ms at most. So shorter turns are of use
// where there are more of these than cores (GOMAXPROCS), and the system shares the
// cores among them.
package timeslice
