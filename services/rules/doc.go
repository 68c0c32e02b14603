// Package rules compiles and evaluates risk rules. See service for the wiring.
package rules
