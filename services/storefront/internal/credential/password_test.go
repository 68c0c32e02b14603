package credential_test

import (
	"errors"
	"testing"

	"github.com/backlot-video/backlot/services/storefront/internal/credential"
)

func TestPasswordIsCheckedAgainstItsHash(t *testing.T) {
	p := credential.NewPasswords()
	hash, err := p.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check(t.Context(), "correct horse", hash); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ password, hash string }{
		{"wrong horse", hash}, {"", ""}, {"correct horse", ""}, {"x", "argon2id$!!$!!"}, {"x", credential.HashKey("x")},
	} {
		if err := p.Check(t.Context(), c.password, c.hash); !errors.Is(err, credential.ErrWrong) {
			t.Errorf("password %q, hash %.12q: err = %v", c.password, c.hash, err)
		}
	}
}

func TestOperatorKeyIsMadeOnce(t *testing.T) {
	dir := t.TempDir()
	first, _, err := credential.OperatorKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, _, err := credential.OperatorKey(dir)
	if err != nil || second != first || len(first) < 32 {
		t.Errorf("first %d characters, same %t, err %v", len(first), first == second, err)
	}
	if err := credential.CheckKey(first, credential.HashKey(first)); err != nil {
		t.Error(err)
	}
	if err := credential.CheckKey("other", credential.HashKey(first)); !errors.Is(err, credential.ErrWrong) {
		t.Errorf("err = %v", err)
	}
}
