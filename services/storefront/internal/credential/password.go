// Package credential checks how people prove who they are: passwords and
// the operator's key.
package credential

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/backlot-video/backlot/kit/file"
)

// ErrWrong means a secret that does not match.
var ErrWrong = errors.New("credential is wrong")

// Argon2id as OWASP recommends: 19 MiB, 2 passes, 1 lane.
const (
	passes     = 2
	memoryKiB  = 19 * 1024
	lanes      = 1
	saltBytes  = 16
	hashBytes  = 32
	prefix     = "argon2id$"
	parallel   = 4 // hashes at once: bounds memory to 76 MiB
	keyPrefix  = "sha256$"
	operatorID = "operator.key"
)

// Passwords hashes and checks passwords, a few at once.
type Passwords struct{ slots chan struct{} }

// NewPasswords returns a hasher.
func NewPasswords() *Passwords { return &Passwords{make(chan struct{}, parallel)} }

// Hash returns what to store for a password.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt)
	sum, err := p.derive(ctx, password, salt)
	if err != nil {
		return "", err
	}
	return prefix + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(sum), nil
}

// Check returns ErrWrong unless the password is the one that was hashed. An
// unknown account is checked against an empty hash, at the same cost.
func (p *Passwords) Check(ctx context.Context, password, hash string) error {
	salt, want := parse(hash)
	sum, err := p.derive(ctx, password, salt)
	if err != nil {
		return err
	}
	if want == nil || subtle.ConstantTimeCompare(sum, want) != 1 {
		return ErrWrong
	}
	return nil
}

func (p *Passwords) derive(ctx context.Context, password string, salt []byte) ([]byte, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-p.slots }()
	return argon2.IDKey([]byte(password), salt, passes, memoryKiB, lanes, hashBytes), nil
}

// parse gives a nil hash for what is none.
func parse(hash string) (salt, sum []byte) {
	salt = make([]byte, saltBytes)
	text, found := strings.CutPrefix(hash, prefix)
	if !found {
		return salt, nil
	}
	left, right, _ := strings.Cut(text, "$")
	parsedSalt, err1 := base64.RawStdEncoding.DecodeString(left)
	parsedSum, err2 := base64.RawStdEncoding.DecodeString(right)
	if err1 != nil || err2 != nil || len(parsedSum) != hashBytes {
		return salt, nil
	}
	return parsedSalt, parsedSum
}

// OperatorKey reads the operator's key from the data folder, and makes it
// where there is none (mode 0600).
func OperatorKey(dataDir string) (key, path string, err error) {
	path = filepath.Join(dataDir, operatorID)
	content, err := file.Once(path, func() []byte {
		secret := make([]byte, 24)
		_, _ = rand.Read(secret)
		return []byte(base64.RawURLEncoding.EncodeToString(secret) + "\n")
	})
	if err != nil {
		return "", "", fmt.Errorf("operator key: %w", err)
	}
	return strings.TrimSpace(string(content)), path, nil
}

// HashKey returns what to store for a random key, which needs no slow hash.
func HashKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return keyPrefix + base64.RawStdEncoding.EncodeToString(sum[:])
}

// CheckKey returns ErrWrong unless the key is the one that was hashed.
func CheckKey(key, hash string) error {
	if subtle.ConstantTimeCompare([]byte(HashKey(key)), []byte(hash)) != 1 {
		return ErrWrong
	}
	return nil
}
