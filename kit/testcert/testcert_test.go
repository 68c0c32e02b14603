package testcert_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/backlot-video/backlot/kit/testcert"
)

func TestLeavesServeBothSidesOfOneAuthority(t *testing.T) {
	ours, others := testcert.New(), testcert.New()
	both := ours.Leaf("shop.test", "127.0.0.1")
	for name, test := range map[string]struct {
		leaf testcert.Leaf
		to   string
		want bool
	}{
		"a name":            {both, "shop.test", true},
		"an address":        {both, "127.0.0.1", true},
		"another name":      {both, "other.test", false},
		"an end to come":    {ours.LeafUntil(time.Now().Add(time.Minute), "shop.test"), "shop.test", true},
		"an end past":       {ours.LeafUntil(time.Now().Add(-time.Minute), "shop.test"), "shop.test", false},
		"another authority": {others.Leaf("shop.test"), "shop.test", false},
	} {
		for _, side := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			options := x509.VerifyOptions{Roots: ours.Roots(), DNSName: test.to, KeyUsages: []x509.ExtKeyUsage{side}}
			if _, err := test.leaf.Pair().Leaf.Verify(options); (err == nil) != test.want {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestFilesAreThoseOfTheLeaf(t *testing.T) {
	leaf := testcert.New().Leaf("shop.test")
	authority, certificate, key := leaf.Files(t)
	read, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil || !read.Leaf.Equal(leaf.Pair().Leaf) {
		t.Errorf("another certificate: %v", err)
	}
	if _, err = tls.LoadX509KeyPair(authority, key); err == nil {
		t.Error("the authority has the leaf's key")
	}
}
