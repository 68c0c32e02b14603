//go:build containers

package e2e

import (
	"net/http"
	"testing"
	"time"

	"github.com/testcontainers/testcontainers-go"
	tcnetwork "github.com/testcontainers/testcontainers-go/network"
)

// TestSmokeAllInOneImage drives a short journey through the all-in-one image.
// The demo is a second container, which reaches the public port only.
func TestSmokeAllInOneImage(t *testing.T) {
	network := newNetwork(t)
	began := time.Now()
	backlot := run(t, "all-in-one", "full", testcontainers.WithExposedPorts("8080/tcp"),
		tcnetwork.WithNetworkName([]string{"backlot"}, network))
	t.Logf("healthy %v after the start of the container", time.Since(began).Round(time.Millisecond))

	began = time.Now()
	receipt, err := demo(t, network, "http://backlot:8080", backlot.file("/data/storefront/operator.key"), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("journey in %v:\n%s", time.Since(began).Round(time.Millisecond), receipt)
	console(t, backlot.url("8080/tcp"))

	began = time.Now()
	backlot.stop()
	t.Logf("stopped in %v", time.Since(began).Round(time.Millisecond))
}

// console reads the console's first page from the host.
func console(t *testing.T, address string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("the console answered %s", response.Status)
	}
}
