// Package tools pins the light code generators of the house, run by go tool.
package tools
