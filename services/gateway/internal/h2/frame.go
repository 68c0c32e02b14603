package h2

import "encoding/binary"

// Kinds of frames (RFC 9113, section 6).
const (
	frameData         = 0x0
	frameHeaders      = 0x1
	framePriority     = 0x2
	frameReset        = 0x3
	frameSettings     = 0x4
	framePush         = 0x5
	framePing         = 0x6
	frameGoAway       = 0x7
	frameWindowUpdate = 0x8
	frameContinuation = 0x9
)

// Flags of frames.
const (
	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

// Settings.
const (
	settingHeaderTable   = 0x1
	settingPush          = 0x2
	settingMaxStreams    = 0x3
	settingInitialWindow = 0x4
	settingMaxFrame      = 0x5
	settingMaxHeaderList = 0x6
	settingConnect       = 0x8 // RFC 8441
)

const (
	frameHeader   = 9        // bytes before a frame's payload
	maxFrame      = 16 << 10 // largest payload that we take, and that we send
	maxFrameLimit = 1<<24 - 1
	defaultWindow = 1<<16 - 1
	maxWindow     = 1<<31 - 1
	headerTable   = 4096
	fieldOverhead = 32 // what a field counts beyond its bytes
)

// frame is the head of one.
type frame struct {
	length int
	kind   byte
	flags  byte
	stream uint32
}

// parseFrame reads the head of a frame of at least frameHeader bytes.
func parseFrame(b []byte) frame {
	_ = b[frameHeader-1]
	return frame{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]),
		kind:   b[3], flags: b[4],
		stream: binary.BigEndian.Uint32(b[5:]) & maxWindow,
	}
}

func (f frame) has(flag byte) bool { return f.flags&flag != 0 }

func appendFrame(to []byte, length int, kind, flags byte, stream uint32) []byte {
	return append(to, byte(length>>16), byte(length>>8), byte(length), kind, flags,
		byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream))
}

// unpad takes the padding off a payload.
func unpad(f frame, payload []byte) ([]byte, error) {
	if !f.has(flagPadded) {
		return payload, nil
	}
	if len(payload) == 0 {
		return nil, &ConnError{FrameSizeError, "frame without its length of padding"}
	}
	padding := int(payload[0])
	if payload = payload[1:]; padding > len(payload) {
		return nil, protocolError("more padding than there are bytes")
	}
	return payload[:len(payload)-padding], nil
}

type setting struct {
	id    uint16
	value uint32
}

func appendSettings(to []byte, settings ...setting) []byte {
	to = appendFrame(to, 6*len(settings), frameSettings, 0, 0)
	for _, s := range settings {
		to = binary.BigEndian.AppendUint16(to, s.id)
		to = binary.BigEndian.AppendUint32(to, s.value)
	}
	return to
}

func appendWindowUpdate(to []byte, stream uint32, n int) []byte {
	to = appendFrame(to, 4, frameWindowUpdate, 0, stream)
	return binary.BigEndian.AppendUint32(to, uint32(n)) //nolint:gosec // at most maxWindow
}

func appendReset(to []byte, stream uint32, code Code) []byte {
	to = appendFrame(to, 4, frameReset, 0, stream)
	return binary.BigEndian.AppendUint32(to, uint32(code))
}

func appendGoAway(to []byte, last uint32, code Code, reason string) []byte {
	to = appendFrame(to, 8+len(reason), frameGoAway, 0, 0)
	to = binary.BigEndian.AppendUint32(to, last)
	to = binary.BigEndian.AppendUint32(to, uint32(code))
	return append(to, reason...)
}

func appendPing(to []byte, flags byte, data uint64) []byte {
	to = appendFrame(to, 8, framePing, flags, 0)
	return binary.BigEndian.AppendUint64(to, data)
}

// appendHeaders cuts a header block into as many frames as it needs.
func appendHeaders(to []byte, stream uint32, flags byte, block []byte, most int) []byte {
	kind := byte(frameHeaders)
	for first := true; first || len(block) > 0; first = false {
		part := block[:min(len(block), most)]
		if block = block[len(part):]; len(block) == 0 {
			flags |= flagEndHeaders
		}
		to = append(appendFrame(to, len(part), kind, flags, stream), part...)
		kind, flags = frameContinuation, 0
	}
	return to
}
