package h2

import "github.com/backlot-video/backlot/services/gateway/internal/exchange"

var errStatus = malformed(":status")

// response makes an answer of a decoded head. ended: there is no body.
func (h *head) response(r *exchange.Response, ended, toHEAD bool) error {
	if h.err != nil {
		return h.err
	}
	status := h.pseudo[pseudoStatus]
	if len(status) != 3 {
		return errStatus
	}
	r.Status = 0
	for _, c := range status {
		if c < '0' || c > '9' {
			return errStatus
		}
		r.Status = 10*r.Status + int(c-'0')
	}
	if r.Status < 100 || r.Status == 101 {
		return errStatus
	}
	r.Length = h.length
	r.NoBody = toHEAD || r.Status == 204 || r.Status == 304
	if ended && !r.NoBody {
		if h.length > 0 {
			return errShort
		}
		r.Length = 0
	}
	return nil
}
