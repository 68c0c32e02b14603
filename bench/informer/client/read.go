package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/backlot-video/backlot/kit/socket"
)

// readOnly reads a watch's frames, and looks at none: the nth one is taken for
// the nth revision.
func readOnly(server string, told func(int64)) error {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet,
		server+"/api/v1/pods?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{
		ReadBufferSize: 64 << 10,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return socket.Dial(ctx, new(net.Dialer), network, address)
		},
	}}
	response, err := client.Do(request) //nolint:bodyclose // the process ends with it
	if err != nil {
		return err
	}
	go func() {
		err := frames(bufio.NewReaderSize(response.Body, 64<<10), told)
		fmt.Fprintln(os.Stderr, "client:", err)
	}()
	return nil
}

// frames reads until that fails.
func frames(body *bufio.Reader, told func(int64)) error {
	var head [4]byte
	for revision := int64(1); ; {
		if _, err := io.ReadFull(body, head[:]); err != nil {
			return err
		}
		length := int(binary.BigEndian.Uint32(head[:]))
		if _, err := body.Discard(length); err != nil {
			return err
		}
		if length < 1000 { // the bookmark
			continue
		}
		told(revision)
		revision++
	}
}
