// Package bench measures Backlot beside its peers, in one run on one machine.
package bench
