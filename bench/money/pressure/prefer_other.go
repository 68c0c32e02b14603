//go:build !linux

package pressure

func prefer() (restore func()) { return func() {} }
