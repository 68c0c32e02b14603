package identity

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/backlot-video/backlot/kit/file"
	identityv1 "github.com/backlot-video/backlot/proto/gen/backlot/identity/v1"
)

// What Verify and Sign answer with.
var (
	ErrMalformed = errors.New("principal: malformed token")
	ErrForged    = errors.New("principal: signature does not match")
	ErrExpired   = errors.New("principal: expired")
	ErrInvalid   = errors.New("principal: not allowed")
)

const (
	keyBytes    = 32
	minKeyBytes = 32
	maxToken    = 1024 // bytes; longer ones are malformed
	maxID       = 128
	maxTenant   = 64
)

var encoding = base64.RawURLEncoding

// Keys signs with the first key of the cluster key file and verifies with
// each of them, so that a key is rotated by a new first line on every node,
// a minute, and the removal of the old line.
type Keys struct {
	path  string
	clock func() time.Time
	keys  atomic.Pointer[[][]byte]
}

// OpenKeys reads the cluster key file. Where there is none it makes one with
// a new random key, mode 0600, atomically: of several processes that start at
// once all read the same key. A nil clock means time.Now.
func OpenKeys(path string, clock func() time.Time) (*Keys, error) {
	k := newKeys(path, clock)
	data, err := file.Once(path, newKey)
	if err != nil {
		return nil, fmt.Errorf("cluster key: %w", err)
	}
	if err := k.parse(data); err != nil {
		return nil, fmt.Errorf("read cluster key %s: %w", path, err)
	}
	return k, nil
}

// ParseKeys makes Keys of the content of a cluster key file: one key per
// line, base64 of at least 32 bytes; empty lines and lines that begin with #
// count for nothing. A nil clock means time.Now.
func ParseKeys(data []byte, clock func() time.Time) (*Keys, error) {
	k := newKeys("", clock)
	if err := k.parse(data); err != nil {
		return nil, err
	}
	return k, nil
}

func newKeys(path string, clock func() time.Time) *Keys {
	if clock == nil {
		clock = time.Now
	}
	return &Keys{path: path, clock: clock}
}

// Reload reads the file again. The former keys stay in force on an error.
func (k *Keys) Reload() error {
	data, err := os.ReadFile(k.path)
	if err != nil {
		return fmt.Errorf("read cluster key: %w", err)
	}
	if err := k.parse(data); err != nil {
		return fmt.Errorf("read cluster key %s: %w", k.path, err)
	}
	return nil
}

func (k *Keys) parse(data []byte) error {
	var keys [][]byte
	number := 0
	for line := range bytes.Lines(data) {
		number++
		text := string(bytes.TrimSpace(line))
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil || len(key) < minKeyBytes {
			return fmt.Errorf("line %d is not base64 of at least %d bytes", number, minKeyBytes)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return errors.New("no key in it")
	}
	k.keys.Store(&keys)
	return nil
}

// Sign returns the token of p, valid until p.Expires, at most MaxLife from
// now; a zero Expires means MaxLife from now.
func (k *Keys) Sign(p Principal) (string, error) {
	if fault := check(p); fault != "" {
		return "", fmt.Errorf("%w: %s", ErrInvalid, fault)
	}
	now := k.clock()
	latest := now.Add(MaxLife)
	if p.Expires.IsZero() || p.Expires.After(latest) {
		p.Expires = latest
	}
	if !p.Expires.After(now) {
		return "", ErrExpired
	}
	payload, err := proto.Marshal(&identityv1.Principal{
		Kind: p.Kind, Id: p.ID, TenantId: p.TenantID, ExpiresAt: p.Expires.UnixMicro(),
	})
	if err != nil {
		return "", fmt.Errorf("sign principal: %w", err)
	}
	token := encoding.AppendEncode(nil, payload)
	token = append(token, '.')
	return string(encoding.AppendEncode(token, mac((*k.keys.Load())[0], payload))), nil
}

// Verify returns the principal of a token, or ErrMalformed, ErrForged,
// ErrExpired or ErrInvalid.
func (k *Keys) Verify(token string) (Principal, error) {
	left, right, found := strings.Cut(token, ".")
	if !found || len(token) > maxToken || strings.ContainsAny(token, "\r\n") {
		return Principal{}, ErrMalformed
	}
	payload, err := encoding.Strict().DecodeString(left)
	if err != nil {
		return Principal{}, ErrMalformed
	}
	signature, err := encoding.Strict().DecodeString(right)
	if err != nil {
		return Principal{}, ErrMalformed
	}
	if !k.signed(payload, signature) {
		return Principal{}, ErrForged
	}
	message := new(identityv1.Principal)
	if err := proto.Unmarshal(payload, message); err != nil {
		return Principal{}, ErrMalformed
	}
	p := Principal{
		Kind: message.GetKind(), ID: message.GetId(), TenantID: message.GetTenantId(),
		Expires: time.UnixMicro(message.GetExpiresAt()).UTC(),
	}
	now := k.clock()
	switch {
	case !p.Expires.After(now):
		return Principal{}, ErrExpired
	case p.Expires.After(now.Add(2 * MaxLife)):
		// A signer's clock may run ahead, but not by more than a life.
		return Principal{}, ErrInvalid
	case check(p) != "":
		return Principal{}, ErrInvalid
	}
	return p, nil
}

func (k *Keys) signed(payload, signature []byte) bool {
	for _, key := range *k.keys.Load() {
		if hmac.Equal(signature, mac(key, payload)) {
			return true
		}
	}
	return false
}

func mac(key, payload []byte) []byte {
	hash := hmac.New(sha256.New, key)
	hash.Write(payload)
	return hash.Sum(nil)
}

// check names the fault of p, empty where there is none.
func check(p Principal) string {
	switch {
	case p.Kind < Anonymous || p.Kind > Service:
		return "kind is unknown"
	case p.ID == "" && p.Kind != Anonymous:
		return "id is empty"
	case len(p.ID) > maxID:
		return "id is too long"
	case p.TenantID == "":
		return "tenant_id is empty"
	case len(p.TenantID) > maxTenant:
		return "tenant_id is too long"
	}
	return ""
}

// newKey is a new key as it stands in the file.
func newKey() []byte {
	key := make([]byte, keyBytes)
	rand.Read(key)
	return []byte(base64.StdEncoding.EncodeToString(key) + "\n")
}
