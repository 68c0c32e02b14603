//go:build conformance

package gate_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"

	"google.golang.org/protobuf/encoding/protowire"
)

// Environment of this program where it is the server of Connect's suite.
const (
	wrapServer  = "BACKLOT_GATE_WRAP_SERVER"
	wrapControl = "BACKLOT_GATE_WRAP_CONTROL"
)

func init() {
	if server := os.Getenv(wrapServer); server != "" {
		if err := wrap(server, os.Getenv(wrapControl)); err != nil {
			fmt.Fprintln(os.Stderr, "wrapper:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// Numbers of the fields of ServerCompatRequest and ServerCompatResponse.
const (
	requestVersion, requestTLS, requestCreds    = 2, 4, 7
	credsCert, credsKey                         = 1, 2
	responseHost, responsePort, responsePEMCert = 1, 2, 3
	httpVersion2                                = 2
)

// wrap starts the real server, has a gateway started before it, and says that
// this is where the server is.
func wrap(program, control string) error {
	request, err := readFrame(os.Stdin)
	if err != nil {
		return err
	}
	server := exec.Command(program)
	server.Env = append(os.Environ(), wrapServer+"=")
	server.Stderr = os.Stderr
	in, err := server.StdinPipe()
	if err != nil {
		return err
	}
	out, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	defer func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
	}()
	if err := writeFrame(in, request); err != nil {
		return err
	}
	response, err := readFrame(out)
	if err != nil {
		return err
	}
	answer, err := gatewayBefore(control, request, response)
	if err != nil {
		return err
	}
	if err := writeFrame(os.Stdout, answer); err != nil {
		return err
	}
	<-stop
	return nil
}

// gatewayBefore has a gateway started and tells its address as the server's.
func gatewayBefore(control string, request, response []byte) ([]byte, error) {
	asked, given := fields(request), fields(response)
	host := string(given[responseHost].bytes)
	if host == "" {
		host = "127.0.0.1"
	}
	form := url.Values{"upstream": {net.JoinHostPort(host, strconv.FormatUint(given[responsePort].number, 10))}}
	if asked[requestVersion].number == httpVersion2 {
		form.Set("http2", "1")
	}
	if asked[requestTLS].number != 0 {
		creds := fields(asked[requestCreds].bytes)
		form.Set("cert", string(creds[credsCert].bytes))
		form.Set("key", string(creds[credsKey].bytes))
	}
	posted, err := http.PostForm(control, form)
	if err != nil {
		return nil, err
	}
	defer posted.Body.Close()
	address, err := io.ReadAll(posted.Body)
	if err != nil {
		return nil, err
	}
	gatewayHost, port, err := net.SplitHostPort(string(address))
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	answer := protowire.AppendString(protowire.AppendTag(nil, responseHost, protowire.BytesType), gatewayHost)
	answer = protowire.AppendVarint(protowire.AppendTag(answer, responsePort, protowire.VarintType), number)
	return protowire.AppendBytes(protowire.AppendTag(answer, responsePEMCert, protowire.BytesType), given[responsePEMCert].bytes), nil
}

// field is the last value of a field.
type field struct {
	number uint64
	bytes  []byte
}

func fields(message []byte) map[protowire.Number]field {
	all := map[protowire.Number]field{}
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return all
		}
		message = message[n:]
		var f field
		switch kind {
		case protowire.VarintType:
			f.number, n = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(message)
		default:
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return all
		}
		all[number], message = f, message[n:]
	}
	return all
}

var errFrame = errors.New("a message is too large")

func readFrame(from io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(from, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > 1<<20 {
		return nil, errFrame
	}
	message := make([]byte, n)
	_, err := io.ReadFull(from, message)
	return message, err
}

func writeFrame(to io.Writer, message []byte) error {
	_, err := to.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...))
	return err
}
