package pressure

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"testing"

	"connectrpc.com/connect"
)

// frameOf is a frame of Kitex's with headers of four bytes each and a message.
func frameOf(headers, message string) []byte {
	frame := append(make([]byte, metaBytes), headers...)
	binary.BigEndian.PutUint16(frame[metaBytes-2:], uint16(len(headers)/4))
	return append(frame, message...)
}

func text(name, value string) string {
	return fmt.Sprintf("%s\x00%c%s", name, len(value), value)
}

func TestAnswersAreTakenFromTheirFrames(t *testing.T) {
	const kind, name, sequence = "\x90\x01\x00\x02", "\x00\x00\x00\x01m", "\x00\x00\x00\x07"
	answer, err := answerOf(frameOf("abcd", "\x00\x00\x00\x10"+kind+name+sequence+"answer"))
	if err != nil || string(answer) != "answer" {
		t.Errorf("got %q, %v", answer, err)
	}
	status := base64.StdEncoding.EncodeToString([]byte("it waited"))
	headers := text("biz-status", "8") + text("biz-extra", `{"status":"`+status+`"}`)
	headers += "   "[:(4-len(headers)%4)%4]
	_, err = answerOf(frameOf(headers, ""))
	if connect.CodeOf(err) != connect.CodeResourceExhausted || !givenUp(err) {
		t.Errorf("got %v", err)
	}
	if answer, err := answerOf(frameOf("abcd", "\x00\x00\x00\x10\x90\x01\x00\x03"+name+sequence+"broken")); err == nil {
		t.Errorf("a call that broke answers %q", answer)
	}
}

// No frame makes it panic.
func FuzzAnswerOf(f *testing.F) {
	f.Add(frameOf("abcd", "\x00\x00\x00\x10\x90\x01\x00\x02\xff\xff\xff\xffm"))
	f.Add(frameOf("biz-status\xff\xff", ""))
	f.Fuzz(func(t *testing.T, rest []byte) {
		frame := append(binary.BigEndian.AppendUint32(nil, uint32(len(rest))), rest...)
		read, err := readFrame(bytes.NewReader(frame))
		if err == nil {
			_, _ = answerOf(read)
		}
	})
}
