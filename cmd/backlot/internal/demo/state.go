package demo

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// person is an account that the demo made.
type person struct {
	Name, Email, Password string
}

// state is kept between runs, with passwords made for this installation.
type state struct {
	path    string
	Creator person
	// Video is what the run under way sells, Buyer who buys it, by the keys
	// below. A finished run clears them.
	Video     string
	Buyer     person
	OrderKey  string
	TopUpKey  string
	DeniedKey string
	Runs      int
}

// openState reads the state, or begins one.
func openState(dir string) (*state, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &state{path: filepath.Join(dir, "state.json")}
	content, err := os.ReadFile(s.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		s.Creator = newPerson("Ada's Films", "creator")
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(content, s); err != nil {
			return nil, fmt.Errorf("%s: %w", s.path, err)
		}
	}
	return s, s.save()
}

// sell goes on with the run that was cut short if it sold the same video, and
// else begins with another buyer.
func (s *state) sell(video string) error {
	if s.Video != video {
		s.Video, s.Buyer = video, newPerson("Bo", "viewer")
		s.OrderKey, s.TopUpKey, s.DeniedKey = random(8), random(8), random(8)
	}
	return s.save()
}

// finish ends a run: the next one has another buyer.
func (s *state) finish() error {
	s.Runs++
	return s.giveUp()
}

// giveUp ends a run that cannot come to a good end.
func (s *state) giveUp() error {
	s.Video, s.Buyer, s.OrderKey, s.TopUpKey, s.DeniedKey = "", person{}, "", "", ""
	return s.save()
}

func (s *state) save() error {
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	temporary := s.path + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return err
	}
	return os.Rename(temporary, s.path)
}

func newPerson(name, role string) person {
	secret := make([]byte, 18)
	_, _ = rand.Read(secret)
	return person{
		Name: name, Email: role + "-" + random(4) + "@demo.example",
		Password: base64.RawURLEncoding.EncodeToString(secret),
	}
}

func random(n int) string {
	bytes := make([]byte, n)
	_, _ = rand.Read(bytes)
	return hex.EncodeToString(bytes)
}
