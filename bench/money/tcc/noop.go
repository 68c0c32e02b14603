package tcc

import (
	"net"
	"sync/atomic"

	"github.com/valyala/fasthttp"
)

// participants answer every call with success and count them.
type participants struct {
	address string
	calls   atomic.Int64
	server  fasthttp.Server
}

var answerJSON = []byte(`{"dtm_result":"SUCCESS"}`)

func startParticipants() (*participants, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &participants{address: listener.Addr().String()}
	p.server.Handler = func(ctx *fasthttp.RequestCtx) {
		p.calls.Add(1)
		ctx.SetContentType("application/json")
		ctx.SetBody(answerJSON)
	}
	go func() { _ = p.server.Serve(listener) }()
	return p, nil
}

func (p *participants) url(phase string) string { return "http://" + p.address + "/" + phase }
