package h2_test

import (
	"encoding/binary"
	"testing"

	"github.com/backlot-video/backlot/services/gateway/internal/h2"
)

// BenchmarkSmallRequests answers batches of 16 over one connection; an
// operation is one request, with the client's side of it.
func BenchmarkSmallRequests(b *testing.B) {
	const batch = 16
	address, _ := serveTest(b, h2.Config{Handler: handlerFunc(ok)}, nil)
	p := dialPeer(b, address)
	p.frame(frameWindowUpdate, 0, 0, binary.BigEndian.AppendUint32(nil, 1<<30)...)
	stream := uint32(1)
	request := make([]byte, 0, batch*(9+len(get)))
	buffer := make([]byte, 64<<10)
	b.ReportAllocs()
	for done := 0; b.Loop(); {
		if done++; done%batch != 0 {
			continue
		}
		request = request[:0]
		for range batch {
			request = append(request, 0, 0, byte(len(get)), frameHeaders, 0x5)
			request = binary.BigEndian.AppendUint32(request, stream)
			request = append(request, get...)
			stream += 2
		}
		if _, err := p.nc.Write(request); err != nil {
			b.Fatal(err)
		}
		for answered, have := 0, 0; answered < batch; {
			n, err := p.nc.Read(buffer[have:])
			if err != nil {
				b.Fatal(err)
			}
			have += n
			at := 0
			for have-at >= 9 {
				whole := 9 + (int(buffer[at])<<16 | int(buffer[at+1])<<8 | int(buffer[at+2]))
				if have-at < whole {
					break
				}
				if kind := buffer[at+3]; kind <= frameHeaders && buffer[at+4]&1 != 0 {
					answered++
				}
				at += whole
			}
			have = copy(buffer, buffer[at:have])
		}
	}
}
