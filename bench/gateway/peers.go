//go:build linux

package gateway

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/backlot-video/backlot/kit/testport"
)

// Names of the peers; versions come from the programs.
const (
	nginxName   = "nginx"
	haproxyName = "HAProxy"
)

// errMissing is a peer that is not installed.
var errMissing = errors.New("not installed: apt-get install --no-install-recommends nginx-light haproxy")

// startNginx runs nginx with one worker, kept connections to the backend, and
// without an access log. An answer of more than its buffers is passed on as it
// comes; it never goes to disk.
func startNginx(r *rig, s scenario) (*proxy, error) {
	program, err := exec.LookPath("nginx")
	if err != nil {
		return nil, errMissing
	}
	address, err := testport.Find()
	if err != nil {
		return nil, err
	}
	listen := "listen " + address + " backlog=4096"
	if s.mode == "http2" {
		listen += " http2"
	}
	if s.secure {
		listen += fmt.Sprintf(" ssl; ssl_certificate %s; ssl_certificate_key %s; ssl_protocols TLSv1.3", r.cert, r.key)
	}
	buffers := ""
	if s.volume { // of what was tried, the least CPU for each GB: a third of the default's
		buffers = "proxy_buffers 16 64k; proxy_busy_buffers_size 512k;"
	}
	settings := fmt.Sprintf(`daemon off; master_process on; worker_processes 1; worker_rlimit_nofile 19900;
pid %[1]s/nginx.pid; error_log stderr warn;
events { worker_connections 12000; }
http {
	access_log off; keepalive_timeout 300s; keepalive_requests 1000000000; tcp_nodelay on; proxy_max_temp_file_size 0; %[4]s
	client_body_temp_path %[1]s/nginx-client; proxy_temp_path %[1]s/nginx-proxy; fastcgi_temp_path %[1]s/nginx-fastcgi;
	scgi_temp_path %[1]s/nginx-scgi; uwsgi_temp_path %[1]s/nginx-uwsgi;
	upstream backend { server %[2]s; keepalive 1024; keepalive_requests 1000000000; }
	server { %[3]s; location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; } }
}
`, r.dir, r.backend.address, listen, buffers)
	path := filepath.Join(r.dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(settings), 0o600); err != nil {
		return nil, err
	}
	return r.start(proxyCPU, nginxName, address, program, "-c", path, "-p", r.dir, "-e", "stderr")
}

func startHAProxy(r *rig, s scenario) (*proxy, error) { return r.haproxy(s, "") }

func startSplicingHAProxy(r *rig, s scenario) (*proxy, error) {
	return r.haproxy(s, "option splice-response")
}

// haproxy runs HAProxy with one thread, no log, and connections to the backend
// that every client's requests may use.
func (r *rig) haproxy(s scenario, option string) (*proxy, error) {
	program, err := exec.LookPath("haproxy")
	if err != nil {
		return nil, errMissing
	}
	address, err := testport.Find()
	if err != nil {
		return nil, err
	}
	bind := "bind " + address + " backlog 4096"
	if s.secure {
		alpn := "h2"
		if s.mode == "tls" {
			alpn = "http/1.1"
		}
		bind += fmt.Sprintf(" ssl crt %s alpn %s ssl-min-ver TLSv1.3", filepath.Join(r.dir, "both.pem"), alpn)
	}
	settings := fmt.Sprintf(`global
	nbthread 1
	maxconn 9700
	maxpipes 64
defaults
	mode http
	timeout connect 5s
	timeout client 300s
	timeout server 300s
	timeout http-keep-alive 300s
	option http-keep-alive
	http-reuse always
	no log
	%s
frontend in
	%s
	default_backend out
backend out
	server one %s pool-max-conn 1024
`, option, bind, r.backend.address)
	path := filepath.Join(r.dir, "haproxy.cfg")
	if err := os.WriteFile(path, []byte(settings), 0o600); err != nil {
		return nil, err
	}
	return r.start(proxyCPU, haproxyName, address, program, "-db", "-q", "-f", path)
}

// startReverse runs the standard library's.
func startReverse(r *rig, s scenario) (*proxy, error) {
	address, err := testport.Find()
	if err != nil {
		return nil, err
	}
	args := []string{"-listen", address, "-upstream", r.backend.address}
	if s.secure {
		args = append(args, "-cert", r.cert, "-key", r.key)
	}
	return r.start(proxyCPU, "reverse", address, r.program("reverse"), args...)
}
