// Command reverse is the standard library's ReverseProxy as it is tuned with
// care: kept connections for every caller, pooled buffers, no limits that
// others lack. It takes HTTP/1.1 and, with a certificate, HTTP/2.
package main

import (
	"flag"
	"fmt"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync"
	"time"
)

func main() {
	address := flag.String("listen", "", "`address`")
	upstream := flag.String("upstream", "", "`address` of the backend")
	cert := flag.String("cert", "", "PEM `file`; empty: plain HTTP")
	key := flag.String("key", "", "PEM `file`")
	flag.Parse()
	if err := serve(*address, *upstream, *cert, *key); err != nil {
		fmt.Fprintln(os.Stderr, "reverse:", err)
		os.Exit(1)
	}
}

func serve(address, upstream, cert, key string) error {
	target := &url.URL{Scheme: "http", Host: upstream}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{
			MaxIdleConns: 0, MaxIdleConnsPerHost: 1024, IdleConnTimeout: 5 * time.Minute, DisableCompression: true,
		},
		BufferPool: &buffers{sync.Pool{New: func() any { return new([32 << 10]byte) }}},
		ErrorLog:   log.New(os.Stderr, "", 0),
	}
	server := &http.Server{Addr: address, Handler: proxy, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 5 * time.Minute}
	if cert != "" {
		return server.ListenAndServeTLS(cert, key)
	}
	return server.ListenAndServe()
}

// buffers keeps those that bodies are copied through.
type buffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte { return b.pool.Get().(*[32 << 10]byte)[:] }

// Put implements httputil.BufferPool.
func (b *buffers) Put(buffer []byte) { b.pool.Put((*[32 << 10]byte)(buffer)) }
