package store_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/protobuf/proto"

	configstorev1 "github.com/backlot-video/backlot/proto/gen/backlot/configstore/v1"
	gatewayv1 "github.com/backlot-video/backlot/proto/gen/backlot/gateway/v1"
	"github.com/backlot-video/backlot/services/configstore/internal/engine"
	"github.com/backlot-video/backlot/services/configstore/internal/object"
	"github.com/backlot-video/backlot/services/configstore/internal/seal"
	"github.com/backlot-video/backlot/services/configstore/internal/store"
)

const planted = "planted-material-"

func keys(t testing.TB, fill ...byte) *seal.Ring {
	t.Helper()
	var all [][]byte
	for _, b := range fill {
		all = append(all, bytes.Repeat([]byte{b}, 32))
	}
	ring, err := seal.NewRing(all...)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// sealed is a store with keys, and its engine.
func sealed(t *testing.T, dir string, ring *seal.Ring) (e *engine.Engine, s *store.Store, stop func()) {
	t.Helper()
	e, err := engine.Start(t.Context(), engine.Config{DataDir: filepath.Join(dir, "etcd"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	s, err = store.Open(t.Context(), e, store.Config{Keys: ring})
	if err != nil {
		e.Close()
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() { s.Close(); e.Close() })
	t.Cleanup(stop)
	return e, s, stop
}

// opened is how opening a store with some keys ends.
func opened(t *testing.T, dir string, ring *seal.Ring) error {
	t.Helper()
	e, err := engine.Start(t.Context(), engine.Config{DataDir: filepath.Join(dir, "etcd"), NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s, err := store.Open(t.Context(), e, store.Config{Keys: ring})
	if err == nil {
		s.Close()
	}
	return err
}

// jwks is a secret that holds material.
func jwks(material string) *gatewayv1.Secret {
	text := fmt.Sprintf(`{"keys":[{"kty":"oct","k":"%s%s"}]}`, planted, material)
	return &gatewayv1.Secret{Material: &gatewayv1.Secret_Jwks{Jwks: &gatewayv1.Material{Source: &gatewayv1.Material_Inline{Inline: text}}}}
}

func secretKey(name string) object.Key {
	return object.Key{Tenant: tenant, Kind: "Secret", Name: name}.Normal()
}

func material(t *testing.T, o *configstorev1.Object) string {
	t.Helper()
	spec := new(gatewayv1.Secret)
	if err := o.GetSpec().UnmarshalTo(spec); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(spec.GetJwks().GetInline(), planted)
	text, _, _ := strings.Cut(rest, `"`)
	return text
}

// foundIn are the files below a folder that hold a text.
func foundIn(t *testing.T, dir, text string) (files []string) {
	t.Helper()
	looked := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(text)) {
			files = append(files, path)
		}
		looked++
		return err
	})
	if err != nil || looked == 0 {
		t.Fatalf("looked at %d files, %v", looked, err)
	}
	return files
}

func TestSecretsAreNowhereOnTheDisk(t *testing.T) {
	dir := t.TempDir()
	e, s, stop := sealed(t, dir, keys(t, 1))
	first := apply(t, s, put(t, "Secret", "a", jwks("one")), put(t, "Cluster", "c", cluster("visible-service")))
	apply(t, s, put(t, "Secret", "a", jwks("two")))
	draft, err := s.CreateDraft(t.Context(), store.Request{
		Tenant: tenant, Author: "operator/a", Changes: []*configstorev1.Change{put(t, "Secret", "b", jwks("three"))},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReviewDraft(t.Context(), tenant, draft.GetId(), &configstorev1.Review{Author: "operator/b", Approved: true}); err != nil {
		t.Fatal(err)
	}
	backup, err := os.Create(filepath.Join(dir, "backup"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Snapshot(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	if err := backup.Close(); err != nil {
		t.Fatal(err)
	}

	// Who has the key reads all of it.
	if o, err := s.Get(t.Context(), secretKey("a")); err != nil || material(t, o) != "two" {
		t.Errorf("now: %v, %v", o, err)
	}
	if o, err := s.GetAt(t.Context(), secretKey("a"), first.Release.GetRevision()); err != nil || material(t, o) != "one" {
		t.Errorf("then: %v, %v", o, err)
	}
	if result := apply(t, s, put(t, "Secret", "a", jwks("two"))); result.Release.GetId() != "" {
		t.Error("the same again is written")
	}
	if _, err := s.ReleaseDraft(t.Context(), store.Request{Tenant: tenant, Author: "operator/a"}, draft.GetId(), 1); err != nil {
		t.Fatal(err)
	}
	if o, err := s.Get(t.Context(), secretKey("b")); err != nil || material(t, o) != "three" {
		t.Errorf("of the draft: %v, %v", o, err)
	}
	stop()
	if files := foundIn(t, dir, planted); len(files) > 0 {
		t.Errorf("found in %v", files)
	}
	if files := foundIn(t, dir, "visible-service"); len(files) < 2 {
		t.Errorf("what is no secret is in %v alone: the search finds nothing", files)
	}
	_, s, _ = sealed(t, dir, keys(t, 1))
	sub, err := s.Subscribe(t.Context(), tenant, "Secret", "", first.Release.GetRevision())
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if batch, err := sub.Next(); err != nil || material(t, batch.Events[0].GetObject()) != "two" {
		t.Errorf("after a start: %v, %v", batch, err)
	}
}

func TestOtherKeysAreRefusedAtStart(t *testing.T) {
	dir := t.TempDir()
	_, s, stop := sealed(t, dir, keys(t, 1))
	apply(t, s, put(t, "Secret", "a", jwks("one")))
	stop()
	for name, ring := range map[string]*seal.Ring{"another": keys(t, 2), "none": nil} {
		if err := opened(t, dir, ring); !errors.Is(err, store.ErrSealKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := opened(t, dir, keys(t, 2, 1)); err != nil {
		t.Errorf("a newer one in front: %v", err)
	}
	_, s, stop = sealed(t, dir, keys(t, 2, 1))
	if _, err := s.Rekey(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := opened(t, dir, keys(t, 1)); !errors.Is(err, store.ErrSealKey) {
		t.Errorf("the old one alone: %v", err)
	}
	if err := opened(t, dir, keys(t, 2)); err != nil {
		t.Errorf("the new one alone: %v", err)
	}
}

func TestWhatWasPlainIsSealedAtTheFirstStartWithKeys(t *testing.T) {
	dir := t.TempDir()
	_, s, stop := sealed(t, dir, nil)
	first := apply(t, s, put(t, "Secret", "a", jwks("one")))
	stop()
	e, s, _ := sealed(t, dir, keys(t, 1))
	raw, err := e.Range(t.Context(), &pb.RangeRequest{Key: []byte(secretKey("a").Path())})
	if err != nil || bytes.Contains(raw.GetKvs()[0].GetValue(), []byte(planted)) {
		t.Errorf("it is plain still, %v", err)
	}
	o, err := s.Get(t.Context(), secretKey("a"))
	if err != nil || material(t, o) != "one" || o.GetReleaseId() != first.Release.GetId() {
		t.Errorf("got %v, %v", o, err)
	}
	// A new revision that no release made does not stand in the way.
	if _, err := s.Rollback(t.Context(), store.Rollback{Tenant: tenant, Author: "operator/a", ReleaseID: first.Release.GetId()}); err != nil {
		t.Error(err)
	}
}

func TestForgedValuesDoNotOpen(t *testing.T) {
	e, s, _ := sealed(t, t.TempDir(), keys(t, 1))
	apply(t, s, put(t, "Secret", "a", jwks("one")), put(t, "Secret", "b", jwks("other")))
	read := func(name string) []byte {
		raw, err := e.Range(t.Context(), &pb.RangeRequest{Key: []byte(secretKey(name).Path())})
		if err != nil {
			t.Fatal(err)
		}
		return raw.GetKvs()[0].GetValue()
	}
	first, other := read("a"), read("b")
	apply(t, s, put(t, "Secret", "a", jwks("two")))
	tampered := new(configstorev1.Object)
	if err := proto.Unmarshal(read("a"), tampered); err != nil {
		t.Fatal(err)
	}
	tampered.GetSpec().GetValue()[len(tampered.GetSpec().GetValue())-1] ^= 1
	changed, err := proto.Marshal(tampered)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string][]byte{"of another object": other, "put back": first, "changed": changed, "no message": []byte("\xff")} {
		_, err := e.Txn(t.Context(), &pb.TxnRequest{Success: []*pb.RequestOp{{Request: &pb.RequestOp_RequestPut{
			RequestPut: &pb.PutRequest{Key: []byte(secretKey("a").Path()), Value: value},
		}}}})
		if err != nil {
			t.Fatal(err)
		}
		o, err := s.Get(t.Context(), secretKey("a"))
		if sealedStill := name != "no message"; err == nil ||
			sealedStill && (!errors.Is(err, seal.ErrDamaged) || !strings.Contains(err.Error(), secretKey("a").Path())) {
			t.Errorf("%s: %v, %v", name, o, err)
		}
		listed, _, err := s.List(t.Context(), tenant, "Secret", "")
		if err != nil || len(listed) != 2 {
			t.Fatalf("%s, listed: %v, %v", name, listed, err)
		}
		if bad := listed[0]; !bad.GetUnreadable() || bad.GetSpec() != nil || bad.GetKey().GetName() != "a" || bad.GetRevision() == 0 {
			t.Errorf("%s, listed: %v", name, bad)
		}
		if good := listed[1]; good.GetUnreadable() || material(t, good) != "other" {
			t.Errorf("%s, the other one: %v", name, good)
		}
		// The way out: it is put anew.
		apply(t, s, put(t, "Secret", "a", jwks("anew")))
		if o, err := s.Get(t.Context(), secretKey("a")); err != nil || material(t, o) != "anew" {
			t.Errorf("%s, put anew: %v, %v", name, o, err)
		}
	}
}

func TestRekeyUnderLoadLosesNothing(t *testing.T) {
	dir := t.TempDir()
	const names = 24
	_, s, stop := sealed(t, dir, keys(t, 1))
	for n := range names {
		apply(t, s, put(t, "Secret", fmt.Sprint(n), jwks("0")))
	}
	stop()
	e, s, _ := sealed(t, dir, keys(t, 2, 1))
	loading, enough := context.WithCancel(t.Context())
	var load sync.WaitGroup
	last := make([]int, names)
	for worker := range 4 {
		load.Go(func() {
			for round := 1; loading.Err() == nil; round++ {
				for n := worker; n < names; n += 4 {
					apply(t, s, put(t, "Secret", fmt.Sprint(n), jwks(fmt.Sprint(round))))
					last[n] = round
				}
			}
		})
	}
	told := 0
	made, err := s.Rekey(t.Context(), func(r store.Rekeyed) error {
		if r.Done > r.Total {
			t.Errorf("%d of %d", r.Done, r.Total)
		}
		told++
		return nil
	})
	enough()
	load.Wait()
	if err != nil || told != made.Done || made.Key != keys(t, 2).Newest() {
		t.Fatalf("%+v, told %d times, %v", made, told, err)
	}
	all, err := e.Range(t.Context(), &pb.RangeRequest{Key: []byte(object.Prefix(tenant, "Secret", "")), RangeEnd: engine.PrefixEnd(object.Prefix(tenant, "Secret", ""))})
	if err != nil || len(all.GetKvs()) != names {
		t.Fatalf("%d values, %v", len(all.GetKvs()), err)
	}
	for _, kv := range all.GetKvs() {
		o := new(configstorev1.Object)
		if err := proto.Unmarshal(kv.GetValue(), o); err != nil {
			t.Fatal(err)
		}
		if id, err := seal.KeyOf(o.GetSpec().GetValue()); err != nil || id != made.Key {
			t.Errorf("%s is under %s, %v", kv.GetKey(), id, err)
		}
	}
	for n := range names {
		if o, err := s.Get(t.Context(), secretKey(fmt.Sprint(n))); err != nil || material(t, o) != fmt.Sprint(last[n]) {
			t.Errorf("%d: %v, %v, want %d", n, o, err, last[n])
		}
	}
	if again, err := s.Rekey(t.Context(), nil); err != nil || again.Done != 0 {
		t.Errorf("again: %+v, %v", again, err)
	}
}

// childDir has the process be one that encrypts anew until it is killed.
const childDir = "BACKLOT_TEST_REKEY_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		rekeyForever(dir)
	}
	os.Exit(m.Run())
}

// rekeyForever tells of every value.
func rekeyForever(dir string) {
	e, err := engine.Start(context.Background(), engine.Config{DataDir: filepath.Join(dir, "etcd")})
	if err != nil {
		panic(err)
	}
	ring, err := seal.NewRing(bytes.Repeat([]byte{2}, 32), bytes.Repeat([]byte{1}, 32))
	if err != nil {
		panic(err)
	}
	s, err := store.Open(context.Background(), e, store.Config{Keys: ring})
	if err != nil {
		panic(err)
	}
	_, err = s.Rekey(context.Background(), func(r store.Rekeyed) error {
		fmt.Println(r.Done)
		return nil
	})
	panic(fmt.Errorf("not killed: %w", err))
}

func TestKilledWhileItRekeysItGoesOn(t *testing.T) {
	dir := t.TempDir()
	const names, kill = 40, 7
	_, s, stop := sealed(t, dir, keys(t, 1))
	var changes []*configstorev1.Change
	for n := range names {
		changes = append(changes, put(t, "Secret", fmt.Sprint(n), jwks(fmt.Sprint(n))))
	}
	apply(t, s, changes...)
	stop()

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for n := 0; n < kill && lines.Scan(); n++ {
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // it was killed

	if err := opened(t, dir, keys(t, 2)); !errors.Is(err, store.ErrSealKey) {
		t.Errorf("without the old key, that is still needed: %v", err)
	}
	_, s, _ = sealed(t, dir, keys(t, 2, 1))
	check := func(when string) {
		for n := range names {
			if o, err := s.Get(t.Context(), secretKey(fmt.Sprint(n))); err != nil || material(t, o) != fmt.Sprint(n) {
				t.Errorf("%s: %d: %v, %v", when, n, o, err)
			}
		}
	}
	check("after the kill")
	made, err := s.Rekey(t.Context(), nil)
	if err != nil || made.Done == 0 || made.Done > names-kill {
		t.Errorf("went on: %+v, %v; at most %d were left", made, err, names-kill)
	}
	check("at last")
}
