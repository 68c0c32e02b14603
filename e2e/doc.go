// Package e2e tests Backlot from outside: its architecture, its journey and its
// behaviour under faults.
package e2e
