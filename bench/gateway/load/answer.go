//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

var (
	errHead = errors.New("head of an answer is too long")
	errBody = errors.New("body is not the backend's")
)

// answer takes one answer of HTTP/1.1 as it comes.
type answer struct {
	want []byte
	last []byte // whole answer that came at once: most are the same again
	head []byte // while it is not whole
	body bool   // the head is done
	at   int    // bytes of the body so far
}

// take checks bytes. It tells whether the answer is whole.
func (a *answer) take(data []byte) (whole bool, err error) {
	if !a.body && len(a.head) == 0 {
		if bytes.Equal(data, a.last) {
			return true, nil
		}
		defer func() {
			if whole && len(data) < 64<<10 {
				a.last = append(a.last[:0], data...)
			}
		}()
	}
	return a.judge(data)
}

func (a *answer) judge(data []byte) (whole bool, err error) {
	if !a.body {
		if len(a.head) > 0 {
			a.head = append(a.head, data...)
			data = a.head
		}
		end := bytes.Index(data, []byte("\r\n\r\n"))
		if end < 0 {
			if len(data) > 16<<10 {
				return false, errHead
			}
			if len(a.head) == 0 {
				a.head = append(a.head[:0], data...)
			}
			return false, nil
		}
		if err := a.check(data[:end+2]); err != nil {
			return false, err
		}
		data, a.body = data[end+4:], true
	}
	if len(data) > len(a.want)-a.at || !bytes.Equal(data, a.want[a.at:a.at+len(data)]) {
		return false, errBody
	}
	a.at += len(data)
	if a.at < len(a.want) {
		return false, nil
	}
	a.head, a.body, a.at = a.head[:0], false, 0
	return true, nil
}

// check looks at a head: status and length.
func (a *answer) check(head []byte) error {
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
		return fmt.Errorf("answer is %.200q", head)
	}
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		const name = "content-length:"
		if len(line) > len(name) && bytes.EqualFold(line[:len(name)], []byte(name)) {
			if n, err := strconv.Atoi(string(bytes.TrimSpace(line[len(name):]))); err == nil && n == len(a.want) {
				return nil
			}
		}
	}
	return fmt.Errorf("answer has another length: %.200q", head)
}
