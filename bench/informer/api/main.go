// Command api is the fake API server of this benchmark, as a process of its
// own. It prints its address, and serves /publish beside what it is a fake of.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/backlot-video/backlot/bench/informer/fakeapi"
)

func main() {
	count := flag.Int("pods", 5000, "Pods")
	changes := flag.Int("changes", 5000, "changes that /publish publishes")
	flag.Parse()
	if err := run(*count, *changes); err != nil {
		fmt.Fprintln(os.Stderr, "api:", err)
		os.Exit(1)
	}
}

func run(count, changes int) error {
	server := fakeapi.New(count, changes)
	mux := http.NewServeMux()
	mux.Handle("/api/v1/pods", server)
	mux.HandleFunc("/publish", func(w http.ResponseWriter, r *http.Request) {
		rate, err := strconv.Atoi(r.URL.Query().Get("rate"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(server.Publish(rate))
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("http://" + listener.Addr().String())
	return http.Serve(listener, mux) //nolint:gosec // a benchmark's own
}
