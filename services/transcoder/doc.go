// Package transcoder takes uploads and makes streamable renditions of them. See
// service for the wiring.
package transcoder
