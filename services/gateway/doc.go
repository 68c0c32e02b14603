// Package gateway is the public entry of Backlot: routing, authentication,
// limits, retries and media delivery. See service for the wiring.
package gateway
