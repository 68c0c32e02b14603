// Package adapt lets handlers of net/http serve exchanges: media and the
// console.
//
//	handler.go  Serve: a handler as the target of an exchange
//
// It is for what is not on the hot path: names and values are copied. Bodies
// are not, and files go by the kernel where the client's engine can.
package adapt
