//go:build !unix

package model

// syncDir does nothing: there is no way to sync a directory here.
func syncDir(string) error { return nil }
