// Package console is the web console of the operators and the demo storefront of
// the viewers, embedded as static files.
package console
