package jwt_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backlot-video/backlot/services/gateway/internal/filter/jwt"
)

var now = time.Unix(1_800_000_000, 0)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// issuer has a private key of every kind.
type issuer struct {
	rsa        *rsa.PrivateKey
	p256, p384 *ecdsa.PrivateKey
	ed         ed25519.PrivateKey
	set        string
}

var theIssuer = sync.OnceValue(func() *issuer {
	i := &issuer{}
	var err error
	if i.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		panic(err)
	}
	i.p256, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	i.p384, _ = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, i.ed, _ = ed25519.GenerateKey(rand.Reader)
	coordinates := func(k *ecdsa.PrivateKey) (string, string) {
		point, err := k.PublicKey.Bytes()
		if err != nil {
			panic(err)
		}
		half := len(point) / 2
		return b64(point[1 : 1+half]), b64(point[1+half:])
	}
	x2, y2 := coordinates(i.p256)
	x3, y3 := coordinates(i.p384)
	e := big.NewInt(int64(i.rsa.E)).Bytes()
	i.set = fmt.Sprintf(`{"keys":[
		{"kty":"RSA","kid":"rsa","use":"sig","n":%q,"e":%q},
		{"kty":"RSA","kid":"ps","alg":"PS256","n":%q,"e":%q},
		{"kty":"RSA","kid":"enc","use":"enc","n":%q,"e":%q},
		{"kty":"EC","kid":"p256","crv":"P-256","x":%q,"y":%q},
		{"kty":"EC","kid":"p384","crv":"P-384","x":%q,"y":%q},
		{"kty":"EC","kid":"p521","crv":"P-521","x":"AA","y":"AA"},
		{"kty":"OKP","kid":"ed","crv":"Ed25519","x":%q,"key_ops":["verify"]},
		{"kty":"oct","kid":"secret","k":"AAAA"}]}`,
		b64(i.rsa.N.Bytes()), b64(e), b64(i.rsa.N.Bytes()), b64(e), b64(i.rsa.N.Bytes()), b64(e),
		x2, y2, x3, y3, b64(i.ed.Public().(ed25519.PublicKey)))
	return i
})

func (i *issuer) sign(t testing.TB, algorithm, head, payload string) string {
	t.Helper()
	signed := b64([]byte(head)) + "." + b64([]byte(payload))
	s256, s384, s512 := sha256.Sum256([]byte(signed)), sha512.Sum384([]byte(signed)), sha512.Sum512([]byte(signed))
	var signature []byte
	var err error
	raw := func(k *ecdsa.PrivateKey, sum []byte, size int) {
		r, s, fault := ecdsa.Sign(rand.Reader, k, sum)
		if err = fault; err == nil {
			signature = append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
		}
	}
	switch algorithm {
	case "RS256":
		signature, err = rsa.SignPKCS1v15(nil, i.rsa, crypto.SHA256, s256[:])
	case "RS384":
		signature, err = rsa.SignPKCS1v15(nil, i.rsa, crypto.SHA384, s384[:])
	case "RS512":
		signature, err = rsa.SignPKCS1v15(nil, i.rsa, crypto.SHA512, s512[:])
	case "PS256":
		signature, err = rsa.SignPSS(rand.Reader, i.rsa, crypto.SHA256, s256[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	case "ES256":
		raw(i.p256, s256[:], 32)
	case "ES384":
		raw(i.p384, s384[:], 48)
	case "EdDSA":
		signature = ed25519.Sign(i.ed, []byte(signed))
	case "HS256": // by the public modulus, as those do who hope for confusion
		mac := hmac.New(sha256.New, i.rsa.N.Bytes())
		mac.Write([]byte(signed))
		signature = mac.Sum(nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + b64(signature)
}

func (i *issuer) keySet(t testing.TB) *jwt.KeySet {
	t.Helper()
	set, err := jwt.ParseKeySet([]byte(i.set))
	if err != nil {
		t.Fatal(err)
	}
	return set
}

var (
	rules   = &jwt.Rules{Issuer: "https://issuer.example", Audiences: []string{"video", "shop"}, Leeway: 10 * time.Second}
	payload = fmt.Sprintf(`{"iss":"https://issuer.example","sub":"ann","aud":["other","shop"],"exp":%d,"nbf":%d,"plan":"gold","n":3,"roles":["a","b"],"o":{"x":1}}`,
		now.Unix()+60, now.Unix()-60)
)

func TestEveryAlgorithmIsVerifiedWithItsOwnKeyOnly(t *testing.T) {
	i := theIssuer()
	set := i.keySet(t)
	if set.Len() != 5 {
		t.Errorf("%d keys are of use, want 5", set.Len())
	}
	kidOf := map[string]string{"RS256": "rsa", "RS384": "rsa", "RS512": "rsa", "PS256": "ps", "ES256": "p256", "ES384": "p384", "EdDSA": "ed"}
	for algorithm := range kidOf {
		for _, kid := range []string{"rsa", "ps", "p256", "p384", "ed", "enc", "secret", "gone"} {
			token := i.sign(t, algorithm, fmt.Sprintf(`{"alg":%q,"kid":%q}`, algorithm, kid), payload)
			claims, err := set.Verify([]byte(token), rules, now)
			fits := kidOf[algorithm] == kid || algorithm == "PS256" && kid == "rsa"
			if fits && (err != nil || claims.Subject != "ann" || !claims.Expires.Equal(now.Add(time.Minute))) {
				t.Errorf("%s with %s: %+v, %v", algorithm, kid, claims, err)
			}
			if !fits && err == nil {
				t.Errorf("%s with the key %s is taken", algorithm, kid)
			}
		}
		token := i.sign(t, algorithm, fmt.Sprintf(`{"alg":%q}`, algorithm), payload)
		if _, err := set.Verify([]byte(token), rules, now); err != nil {
			t.Errorf("%s without kid: %v", algorithm, err)
		}
	}
}

func TestAlgorithmsThatConfuseAreRefused(t *testing.T) {
	i := theIssuer()
	set := i.keySet(t)
	for _, algorithm := range []string{"none", "None", "HS256", "rs256", "", "ES512"} {
		for _, kid := range []string{`,"kid":"rsa"`, `,"kid":"secret"`, ``} {
			token := i.sign(t, "HS256", fmt.Sprintf(`{"alg":%q%s}`, algorithm, kid), payload)
			if _, err := set.Verify([]byte(token), rules, now); !errors.Is(err, jwt.ErrAlgorithm) && !errors.Is(err, jwt.ErrKey) {
				t.Errorf("alg %q%s: %v", algorithm, kid, err)
			}
		}
	}
}

func TestWhatATokenSaysMustHold(t *testing.T) {
	i := theIssuer()
	set := i.keySet(t)
	unix := now.Unix()
	for name, c := range map[string]struct {
		payload string
		want    error
	}{
		"within the leeway":     {fmt.Sprintf(`{"iss":"https://issuer.example","aud":"video","exp":%d}`, unix-9), nil},
		"a fraction":            {fmt.Sprintf(`{"iss":"https://issuer.example","aud":"video","exp":%d.5}`, unix+1), nil},
		"just expired":          {fmt.Sprintf(`{"iss":"https://issuer.example","aud":"video","exp":%d}`, unix-10), jwt.ErrExpired},
		"no end":                {`{"iss":"https://issuer.example","aud":"video"}`, jwt.ErrMalformed},
		"end is a text":         {`{"iss":"https://issuer.example","aud":"video","exp":"1900000000"}`, jwt.ErrMalformed},
		"end is no number":      {`{"iss":"https://issuer.example","aud":"video","exp":1e400}`, jwt.ErrMalformed},
		"end in other letters":  {fmt.Sprintf(`{"iss":"https://issuer.example","aud":"video","EXP":%d}`, unix+60), jwt.ErrMalformed},
		"end twice":             {fmt.Sprintf(`{"iss":"https://issuer.example","aud":"video","exp":1,"exp":%d}`, unix+60), jwt.ErrMalformed},
		"not yet":               {fmt.Sprintf(`{"iss":"https://issuer.example","aud":"video","exp":%d,"nbf":%d}`, unix+60, unix+11), jwt.ErrNotYet},
		"issued in the future":  {fmt.Sprintf(`{"iss":"https://issuer.example","aud":"video","exp":%d,"iat":%d}`, unix+60, unix+11), jwt.ErrNotYet},
		"another issuer":        {fmt.Sprintf(`{"iss":"https://issuer.example.evil","aud":"video","exp":%d}`, unix+60), jwt.ErrIssuer},
		"no issuer":             {fmt.Sprintf(`{"aud":"video","exp":%d}`, unix+60), jwt.ErrIssuer},
		"another audience":      {fmt.Sprintf(`{"iss":"https://issuer.example","aud":"vide","exp":%d}`, unix+60), jwt.ErrAudience},
		"no audience":           {fmt.Sprintf(`{"iss":"https://issuer.example","exp":%d}`, unix+60), jwt.ErrAudience},
		"subject is a number":   {fmt.Sprintf(`{"iss":"https://issuer.example","aud":"video","exp":%d,"sub":7}`, unix+60), jwt.ErrMalformed},
		"no object":             {`[1]`, jwt.ErrMalformed},
		"something after it":    {fmt.Sprintf(`{"iss":"https://issuer.example","aud":"video","exp":%d}{}`, unix+60), jwt.ErrMalformed},
		"not JSON to the close": {fmt.Sprintf(`{"iss":"https://issuer.example","aud":"video","exp":%d`, unix+60), jwt.ErrMalformed},
	} {
		token := i.sign(t, "EdDSA", `{"alg":"EdDSA","kid":"ed"}`, c.payload)
		if _, err := set.Verify([]byte(token), rules, now); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestMalformedTokensAreRefused(t *testing.T) {
	i := theIssuer()
	set := i.keySet(t)
	good := i.sign(t, "EdDSA", `{"alg":"EdDSA","kid":"ed"}`, payload)
	parts := strings.Split(good, ".")
	for name, token := range map[string]string{
		"empty": "", "two parts": parts[0] + "." + parts[1], "four parts": good + ".x", "padding": good + "=",
		"a line end": parts[0] + "." + parts[1] + "." + parts[2][:9] + "\n" + parts[2][9:], "long": strings.Repeat("a", jwt.MaxToken+1),
		"other payload": parts[0] + "." + b64([]byte(`{}`)) + "." + parts[2], "no signature": parts[0] + "." + parts[1] + ".",
		"crit":            i.sign(t, "EdDSA", `{"alg":"EdDSA","kid":"ed","crit":["b64"],"b64":false}`, payload),
		"kid is a number": i.sign(t, "EdDSA", `{"alg":"EdDSA","kid":1}`, payload),
	} {
		if _, err := set.Verify([]byte(token), rules, now); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestClaimsAsTexts(t *testing.T) {
	i := theIssuer()
	claims, err := i.keySet(t).Verify([]byte(i.sign(t, "ES256", `{"alg":"ES256"}`, payload)), rules, now)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"plan": "gold", "n": "3", "roles": "a,b", "o": `{"x":1}`, "sub": "ann"} {
		if got, found := claims.Text(name); !found || got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if _, found := claims.Text("gone"); found {
		t.Error("a claim that is not there is found")
	}
}

func TestBrokenKeySetsNameTheFault(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for set, want := range map[string]string{
		`x`: "key set", `{"keys":[]}`: "none of its keys", `{"keys":[{"kty":"oct","k":"AA"}]}`: "none of its keys",
		`{"keys":[{"kty":"RSA","e":"AQAB"}]}`:                                                                            "keys[0]: n: is missing",
		fmt.Sprintf(`{"keys":[{"kty":"RSA","e":"AQAB","n":%q}]}`, b64(small.N.Bytes())):                                  "1024 bits",
		`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`:                                                        "x: has 1 bytes, must have 32",
		fmt.Sprintf(`{"keys":[{"kty":"EC","crv":"P-256","x":%q,"y":%q}]}`, b64(make([]byte, 32)), b64(make([]byte, 32))): "x, y",
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA"}]}`:                                                              "must have 32",
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA","x":"AA"}]}`:                                                     "stand once",
		`{"keys":[` + strings.Repeat(`{},`, 100) + `{}]}`:                                                                "at most 100",
	} {
		if _, err := jwt.ParseKeySet([]byte(set)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", set, err, want)
		}
	}
}

// FuzzVerify: what is not signed is not believed, whatever it looks like.
func FuzzVerify(f *testing.F) {
	i := theIssuer()
	set := i.keySet(f)
	good := i.sign(f, "EdDSA", `{"alg":"EdDSA","kid":"ed"}`, payload)
	for _, seed := range []string{"", ".", "..", good[1:], i.sign(f, "HS256", `{"alg":"none"}`, payload), i.sign(f, "HS256", `{"alg":"HS256","kid":"rsa"}`, payload)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, token []byte) {
		if claims, err := set.Verify(token, rules, now); err == nil {
			t.Errorf("%q is taken as %+v", token, claims)
		}
	})
}

// FuzzObject: an object is what the library reads by exact names, or refused.
func FuzzObject(f *testing.F) {
	i := theIssuer()
	set := i.keySet(f)
	f.Add([]byte(payload))
	f.Add([]byte(`{"exp":1,"exp":2}`))
	f.Add([]byte(`{"iss":"https://issuer.example","aud":"shop","exp":1900000000}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		claims, err := set.Verify([]byte(i.sign(t, "EdDSA", `{"alg":"EdDSA"}`, string(payload))), rules, now)
		if err != nil {
			return
		}
		var read map[string]json.RawMessage
		if err := json.Unmarshal(payload, &read); err != nil {
			t.Fatalf("%q is taken, but is no object: %v", payload, err)
		}
		if !claims.Expires.After(now.Add(-rules.Leeway)) {
			t.Errorf("%q is taken, but has expired", payload)
		}
	})
}

func FuzzKeySet(f *testing.F) {
	f.Add([]byte(theIssuer().set))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if set, err := jwt.ParseKeySet(data); err == nil && set.Len() == 0 {
			t.Error("a set without keys is taken")
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	i := theIssuer()
	set := i.keySet(b)
	for _, algorithm := range []string{"RS256", "ES256", "EdDSA"} {
		token := []byte(i.sign(b, algorithm, fmt.Sprintf(`{"alg":%q}`, algorithm), payload))
		b.Run(algorithm, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := set.Verify(token, rules, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
