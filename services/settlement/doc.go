// Package settlement is a double-entry ledger with revenue splits. See service
// for the wiring.
package settlement
