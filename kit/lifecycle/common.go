package lifecycle

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/backlot-video/backlot/kit/config"
	"github.com/backlot-video/backlot/kit/rpc"
)

// common are the settings of every process.
type common struct {
	dataDir     string
	logLevel    string
	logFormat   string
	opsListen   string
	configstore string
	mqURL       string
	databaseURL string
	blobURL     string
	clusterKey  string
	otlp        string
	traceRatio  float64
	tlsCert     string
	tlsKey      string
	tlsCA       string
	plaintext   bool
	advertise   string
	labels      string
	zone        string
	weight      int
	drainTime   time.Duration
	stopTimeout time.Duration
	// endpoints by service, in a process of one service only.
	endpoints  map[string]*endpoint
	succession succession
}

// endpoint is where a service of its own process listens.
type endpoint struct {
	listen, kitexListen string
}

// ports are the defaults on 127.0.0.1 of a service in a process of its own:
// 81xx for Connect, 82xx for Kitex, 91xx for operations. A process of many
// services has one operations listener, on 9090.
var ports = map[string]int{
	"gateway": 0, "configstore": 1, "storefront": 2, "coordinator": 3,
	"settlement": 4, "rules": 5, "recommender": 6, "transcoder": 7, "mq": 8,
}

func registerCommon(set *config.Set, services []Service) *common {
	c := &common{endpoints: map[string]*endpoint{}}
	opsListen := "127.0.0.1:9090"
	if alone := len(services) == 1; alone {
		name := services[0].Name()
		opsListen = fmt.Sprintf("127.0.0.1:%d", 9100+ports[name])
		e := &endpoint{}
		sub := set.Sub(name)
		sub.String(&e.listen, "rpc-listen", fmt.Sprintf("127.0.0.1:%d", 8100+ports[name]), "`address` for Connect, gRPC and JSON (host:port or unix:/path)")
		sub.String(&e.kitexListen, "kitex-listen", fmt.Sprintf("127.0.0.1:%d", 8200+ports[name]), "`address` for Kitex; empty turns it off")
		c.endpoints[name] = e
		set.String(&c.advertise, "advertise-host", "", "`host` under which other services reach this one; empty: the address it listens on")
		set.String(&c.zone, "zone", "", "`zone` this process is in: calls to services go to instances in the same one first; empty: to any")
		set.Int(&c.weight, "instance-weight", rpc.DefaultWeight, "`share` of the calls beside other instances of the service, 1 to 1000")
		set.Duration(&c.drainTime, "drain-time", 500*time.Millisecond, "`time` that a service goes on serving when it stops, after others are told to call it no more")
		set.String(&c.configstore, "configstore", "", "`addresses` of the configstore (host:port or unix:/path), of one or some of its members with commas between; empty: run without one, on defaults")
	}
	set.String(&c.dataDir, "data-dir", "./data", "`folder` that holds all data")
	set.String(&c.logLevel, "log-level", "info", "least `level` that is logged: debug, info, warn, error")
	set.String(&c.logFormat, "log-format", "text", "`form` of logs: text, json")
	set.String(&c.opsListen, "ops-listen", opsListen, "`address` of /metrics, /healthz and /readyz; empty turns them off")
	set.String(&c.mqURL, "mq-url", "", "`address` of NATS with JetStream, nats://host:port; empty: an embedded broker")
	set.Secret(&c.databaseURL, "database-url", "`address` of PostgreSQL, postgres://...; empty: SQLite in the data folder")
	set.String(&c.blobURL, "blob-url", "", "`address` of the bucket for media and models (file://, s3://); empty: the data folder")
	set.String(&c.clusterKey, "cluster-key-file", "", "`file` with the key that services trust each other by; empty: cluster.key in the data folder, made at first start")
	set.String(&c.otlp, "otlp-endpoint", "", "`address` that traces are sent to (OTLP over HTTP, http://host:4318); empty: none")
	set.Float(&c.traceRatio, "trace-ratio", 0.01, "share of requests that are traced, 0 to 1")
	set.String(&c.labels, "instance-labels", "", "`labels` by which canaries of configuration may choose this process (name=value with commas between)")
	set.String(&c.tlsCert, "tls-cert", "", "PEM `file` with this process's certificate for calls between services")
	set.String(&c.tlsKey, "tls-key", "", "PEM `file` with its key")
	set.String(&c.tlsCA, "tls-ca", "", "PEM `file` with the authority that signs the services' certificates")
	set.Bool(&c.plaintext, "insecure-plaintext", false, "listen off loopback without TLS, where the network itself is trusted")
	if replaceable(services) {
		c.succession.register(set)
	}
	set.Duration(&c.stopTimeout, "stop-timeout", 30*time.Second, "longest `time` of a graceful stop")
	return c
}

func (c *common) validate() error {
	var faults []error
	if c.traceRatio < 0 || c.traceRatio > 1 {
		faults = append(faults, fmt.Errorf("trace-ratio: %v is not between 0 and 1", c.traceRatio))
	}
	if c.succession.enabled && c.succession.drain <= 0 {
		faults = append(faults, errors.New("takeover-drain: must be above 0"))
	}
	if c.succession.enabled && c.succession.limit <= 0 {
		faults = append(faults, errors.New("takeover-timeout: must be above 0"))
	}
	if _, err := parseLabels(c.labels); err != nil {
		faults = append(faults, err)
	}
	if _, err := parseAddresses(c.configstore); err != nil {
		faults = append(faults, fmt.Errorf("configstore: %w", err))
	}
	if len(c.endpoints) > 0 && (c.weight < 1 || c.weight > 1000) {
		faults = append(faults, fmt.Errorf("instance-weight: %d is not between 1 and 1000", c.weight))
	}
	if len(c.zone) > 64 {
		faults = append(faults, errors.New("zone: above 64 bytes"))
	}
	if c.drainTime < 0 || c.drainTime > 0 && c.drainTime >= c.stopTimeout {
		faults = append(faults, fmt.Errorf("drain-time: %v is not between 0 and stop-timeout, %v", c.drainTime, c.stopTimeout))
	}
	if c.stopTimeout <= 0 {
		faults = append(faults, errors.New("stop-timeout: must be above 0"))
	}
	given := 0
	for _, file := range []string{c.tlsCert, c.tlsKey, c.tlsCA} {
		if file != "" {
			given++
		}
	}
	if given != 0 && given != 3 {
		faults = append(faults, errors.New("tls-cert, tls-key, tls-ca: give all three or none"))
	}
	for name, e := range c.endpoints {
		for setting, address := range map[string]string{"rpc-listen": e.listen, "kitex-listen": e.kitexListen} {
			if address != "" && !loopback(address) && given == 0 && !c.plaintext {
				faults = append(faults, fmt.Errorf("%s.%s: %s is reachable from outside: give --tls-cert, --tls-key and --tls-ca, or --insecure-plaintext", name, setting, address))
			}
			if everyAddress(address) && c.advertise == "" {
				faults = append(faults, fmt.Errorf("%s.%s: %s is every address of this machine: tell others one of them with --advertise-host", name, setting, address))
			}
		}
	}
	return errors.Join(faults...)
}

// maxAddresses bounds those of the configstore that may be given.
const maxAddresses = 16

// parseAddresses reads addresses with commas between; there may be none.
func parseAddresses(text string) ([]string, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var all []string
	for address := range strings.SplitSeq(text, ",") {
		address = strings.TrimSpace(address)
		path, local := strings.CutPrefix(address, "unix:")
		if _, port, err := net.SplitHostPort(address); local && path == "" || !local && (err != nil || port == "") {
			return nil, fmt.Errorf("%q is neither host:port nor unix:/path", address)
		}
		if slices.Contains(all, address) {
			return nil, fmt.Errorf("%q is given twice", address)
		}
		all = append(all, address)
	}
	if len(all) > maxAddresses {
		return nil, fmt.Errorf("%d addresses, at most %d: the other members are found by those", len(all), maxAddresses)
	}
	return all, nil
}

func (c *common) clusterKeyFile() string {
	if c.clusterKey != "" {
		return c.clusterKey
	}
	return filepath.Join(c.dataDir, "cluster.key")
}
