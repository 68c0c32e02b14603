//go:build !linux

package socket

const bare = false

func receive(uintptr, *half) bool { return true }

func send(uintptr, *half) bool { return true }
