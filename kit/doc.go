// Package kit is the root of what two or more services share, one package
// per noun. It has no code of its own.
package kit
