package h2

import (
	"encoding/binary"
	"time"
)

// receive acts on a frame.
func (c *conn) receive(f frame, payload []byte) error {
	if c.blockHead.stream != 0 && (f.kind != frameContinuation || f.stream != c.blockHead.stream) {
		return protocolError("a head's CONTINUATION was to come")
	}
	if !c.settings && (f.kind != frameSettings || f.has(flagAck)) {
		return protocolError("the first frame was to be SETTINGS")
	}
	switch f.kind {
	case frameData:
		return c.receiveData(f, payload)
	case frameHeaders:
		return c.receiveHeaders(f, payload)
	case framePriority:
		return c.receivePriority(f, payload)
	case frameReset:
		return c.receiveReset(f, payload)
	case frameSettings:
		return c.receiveSettings(f, payload)
	case framePush:
		return protocolError("PUSH_PROMISE is switched off")
	case framePing:
		return c.receivePing(f, payload)
	case frameGoAway:
		return c.receiveGoAway(f, payload)
	case frameWindowUpdate:
		return c.receiveWindowUpdate(f, payload)
	case frameContinuation:
		return c.receiveContinuation(f, payload)
	default:
		return c.junk()
	}
}

func (c *conn) receiveData(f frame, payload []byte) error {
	if f.stream == 0 {
		return protocolError("DATA on stream 0")
	}
	data, err := unpad(f, payload)
	if err != nil {
		return err
	}
	if len(data) == 0 && !f.has(flagEndStream) {
		if err := c.junk(); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.received -= f.length; c.received < 0 {
		return &ConnError{FlowControlError, "more DATA than the connection's window"}
	}
	s := c.streams[f.stream]
	if s == nil || s.remoteEnd {
		c.credit(f.length)
		c.kick()
		return c.notOpen(f.stream, s)
	}
	if s.received -= f.length; s.received < 0 {
		c.credit(f.length)
		return &StreamError{Code: FlowControlError, Reason: "more DATA than the stream's window"}
	}
	if s.counted += int64(len(data)); s.declared >= 0 && s.counted > s.declared {
		c.credit(f.length)
		return errLong
	}
	s.body.write(data)
	if padding := f.length - len(data); padding > 0 {
		s.unacked += padding
		c.credit(padding)
	}
	if f.has(flagEndStream) {
		return s.peerEnded()
	}
	s.changed.Broadcast()
	return nil
}

// notOpen judges a frame of a stream that takes none. mu is held.
func (c *conn) notOpen(id uint32, s *stream) error {
	switch {
	case s != nil:
		return &StreamError{Code: StreamClosed, Reason: "frame after the end of the stream"}
	case c.side.idle(id):
		return protocolError("frame of a stream that was never opened")
	case c.forgiven(id):
		return nil
	default:
		return &StreamError{Code: StreamClosed, Reason: "frame of a closed stream"}
	}
}

func (c *conn) receiveHeaders(f frame, payload []byte) error {
	if f.stream == 0 {
		return protocolError("HEADERS on stream 0")
	}
	block, err := unpad(f, payload)
	if err != nil {
		return err
	}
	if f.has(flagPriority) {
		if len(block) < 5 {
			return &ConnError{FrameSizeError, "HEADERS without its priority"}
		}
		if binary.BigEndian.Uint32(block)&maxWindow == f.stream {
			return c.afterBlock(f, block[5:], malformed("stream depends on itself"))
		}
		block = block[5:]
	}
	if f.has(flagEndHeaders) {
		return c.side.head(f, block)
	}
	c.blockHead, c.blockCount, c.blockSince = f, 1, time.Now()
	c.block = append(c.block[:0], block...)
	_ = c.net.SetReadDeadline(c.blockSince.Add(c.limits.HeaderTimeout))
	return nil
}

// afterBlock keeps the decoder's state right where a head is of no use.
func (c *conn) afterBlock(f frame, block []byte, fault error) error {
	if !f.has(flagEndHeaders) {
		return protocolError(fault.Error())
	}
	c.heads.begin(ignoredHead, nil, nil)
	if err := c.heads.decode(block); err != nil {
		return err
	}
	return fault
}

func (c *conn) receiveContinuation(f frame, payload []byte) error {
	if c.blockHead.stream == 0 {
		return protocolError("CONTINUATION of nothing")
	}
	if c.blockCount++; c.blockCount > blockFrames || len(c.block)+len(payload) > c.limits.MaxHeader+blockRoom {
		return &ConnError{EnhanceYourCalm, "head of too many frames or bytes"}
	}
	c.block = append(c.block, payload...)
	if !f.has(flagEndHeaders) {
		return nil
	}
	head := c.blockHead
	c.blockHead = frame{}
	err := c.side.head(head, c.block)
	if cap(c.block) > maxFrame {
		c.block = nil
	}
	return err
}

func (c *conn) receivePriority(f frame, payload []byte) error {
	if f.stream == 0 {
		return protocolError("PRIORITY on stream 0")
	}
	if len(payload) != 5 {
		return &StreamError{Code: FrameSizeError, Reason: "PRIORITY is not of 5 bytes"}
	}
	if binary.BigEndian.Uint32(payload)&maxWindow == f.stream {
		return malformed("stream depends on itself")
	}
	return c.junk()
}

func (c *conn) receiveReset(f frame, payload []byte) error {
	if f.stream == 0 {
		return protocolError("RST_STREAM on stream 0")
	}
	if len(payload) != 4 {
		return &ConnError{FrameSizeError, "RST_STREAM is not of 4 bytes"}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.streams[f.stream]
	if s == nil {
		if c.side.idle(f.stream) {
			return protocolError("RST_STREAM of a stream that was never opened")
		}
		return c.junk()
	}
	s.close(&StreamError{Code: Code(binary.BigEndian.Uint32(payload)), Reason: "reset by the peer", Remote: true})
	return c.countReset()
}

func (c *conn) receiveSettings(f frame, payload []byte) error {
	switch {
	case f.stream != 0:
		return protocolError("SETTINGS on a stream")
	case f.has(flagAck) && len(payload) > 0, len(payload)%6 != 0:
		return &ConnError{FrameSizeError, "SETTINGS of a wrong length"}
	}
	if c.settings {
		if err := c.junk(); err != nil || f.has(flagAck) {
			return err
		}
	}
	c.settings = true
	c.mu.Lock()
	defer c.mu.Unlock()
	for ; len(payload) > 0; payload = payload[6:] {
		if err := c.apply(binary.BigEndian.Uint16(payload), binary.BigEndian.Uint32(payload[2:])); err != nil {
			return err
		}
	}
	c.out = appendFrame(c.out, 0, frameSettings, flagAck, 0)
	c.side.settled()
	c.kick()
	return nil
}

// apply takes one setting. mu is held.
func (c *conn) apply(id uint16, value uint32) error {
	switch id {
	case settingPush:
		if value > 1 {
			return protocolError("SETTINGS_ENABLE_PUSH is neither 0 nor 1")
		}
	case settingMaxStreams:
		c.peer.maxStreams = value
	case settingInitialWindow:
		if value > maxWindow {
			return &ConnError{FlowControlError, "SETTINGS_INITIAL_WINDOW_SIZE is too large"}
		}
		return c.setWindow(int(value))
	case settingMaxFrame:
		if value < maxFrame || value > maxFrameLimit {
			return protocolError("SETTINGS_MAX_FRAME_SIZE is out of range")
		}
		c.peer.maxFrame = min(int(value), maxFrame)
	case settingConnect:
		if value > 1 {
			return protocolError("SETTINGS_ENABLE_CONNECT_PROTOCOL is neither 0 nor 1")
		}
		c.peer.connect = value == 1
	}
	return nil
}

// setWindow changes the first window of streams, also of those that are open.
func (c *conn) setWindow(size int) error {
	change := size - c.peer.window
	c.peer.window = size
	for _, s := range c.streams {
		if s.window += change; s.window > maxWindow {
			return &ConnError{FlowControlError, "window of a stream is too large"}
		}
		s.changed.Broadcast()
	}
	return nil
}

func (c *conn) receivePing(f frame, payload []byte) error {
	switch {
	case f.stream != 0:
		return protocolError("PING on a stream")
	case len(payload) != 8:
		return &ConnError{FrameSizeError, "PING is not of 8 bytes"}
	}
	data := binary.BigEndian.Uint64(payload)
	if f.has(flagAck) {
		c.side.pong(data)
		return c.junk()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.answering(); err != nil {
		return err
	}
	if len(c.out) > 2*maxOut {
		return &ConnError{EnhanceYourCalm, "PING whose answers are not read"}
	}
	c.out = appendPing(c.out, flagAck, data)
	c.kick()
	return nil
}

func (c *conn) receiveGoAway(f frame, payload []byte) error {
	switch {
	case f.stream != 0:
		return protocolError("GOAWAY on a stream")
	case len(payload) < 8:
		return &ConnError{FrameSizeError, "GOAWAY is shorter than 8 bytes"}
	}
	if err := c.junk(); err != nil {
		return err
	}
	c.side.goAway(binary.BigEndian.Uint32(payload)&maxWindow, Code(binary.BigEndian.Uint32(payload[4:])))
	return nil
}

func (c *conn) receiveWindowUpdate(f frame, payload []byte) error {
	if len(payload) != 4 {
		return &ConnError{FrameSizeError, "WINDOW_UPDATE is not of 4 bytes"}
	}
	n := int(binary.BigEndian.Uint32(payload) & maxWindow)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.answering(); err != nil {
		return err
	}
	if f.stream == 0 {
		return c.widen(n)
	}
	s := c.streams[f.stream]
	switch {
	case s == nil && c.side.idle(f.stream):
		return protocolError("WINDOW_UPDATE of a stream that was never opened")
	case s == nil: // it has ended meanwhile
		return nil
	case n == 0:
		return malformed("WINDOW_UPDATE by 0")
	}
	if s.window += n; s.window > maxWindow {
		return &StreamError{Code: FlowControlError, Reason: "window of the stream is too large"}
	}
	s.changed.Broadcast()
	return nil
}

// widen opens the connection's window. mu is held.
func (c *conn) widen(n int) error {
	if n == 0 {
		return protocolError("WINDOW_UPDATE by 0")
	}
	if c.window += n; c.window > maxWindow {
		return &ConnError{FlowControlError, "window of the connection is too large"}
	}
	if c.blocked > 0 {
		for _, s := range c.streams {
			if s.waiting {
				s.changed.Broadcast()
			}
		}
	}
	return nil
}
