// Package coordinator drives distributed transactions with a durable log. See
// service for the wiring.
package coordinator
