package ads

import (
	"crypto/sha256"
	"encoding/hex"

	"google.golang.org/protobuf/encoding/protowire"
)

// The numbers of fields that are written by hand, so that what is marshalled
// once can be a part of many responses.
const (
	stateVersion, stateType, stateNonce, statePlane               = 1, 4, 5, 6
	deltaVersion, deltaType, deltaNonce, deltaRemoved, deltaPlane = 1, 4, 5, 6, 7
	responseResources                                             = 2 // of both
	resourceVersion, resourceBody, resourceName                   = 1, 2, 3
	anyType, anyValue                                             = 1, 2
	planeIdentifier                                               = 1
)

// identifier names the server in responses.
const identifier = "backlot-configstore"

// versionBytes is how much of a digest makes a version.
const versionBytes = 12

// Resource is marshalled once for all subscribers. It is never changed.
type Resource struct {
	Name    string
	Version string // digest of its content

	// delta is field `resources` of a DeltaDiscoveryResponse with this one
	// resource; state, its tail, is that of a DiscoveryResponse.
	delta, state []byte
}

// NewResource makes a resource of a marshalled message of one of the types.
// Equal bytes give equal versions: marshal deterministically.
func NewResource(typeURL, name string, body []byte) *Resource {
	digest := sha256.Sum256(body)
	version := hex.EncodeToString(digest[:versionBytes])

	size := protowire.SizeTag(anyType) + protowire.SizeBytes(len(typeURL)) + protowire.SizeTag(anyValue) + protowire.SizeBytes(len(body))
	stateSize := protowire.SizeTag(resourceBody) + protowire.SizeBytes(size)
	inner := protowire.SizeTag(resourceVersion) + protowire.SizeBytes(len(version)) +
		protowire.SizeTag(resourceName) + protowire.SizeBytes(len(name)) + stateSize

	b := make([]byte, 0, protowire.SizeTag(responseResources)+protowire.SizeBytes(inner))
	b = protowire.AppendTag(b, responseResources, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(inner))
	b = appendString(b, resourceVersion, version)
	b = appendString(b, resourceName, name)
	state := len(b)
	// A Resource's message has the number that a response's resources have.
	b = protowire.AppendTag(b, resourceBody, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(size))
	b = appendString(b, anyType, typeURL)
	b = protowire.AppendTag(b, anyValue, protowire.BytesType)
	b = protowire.AppendBytes(b, body)
	return &Resource{Name: name, Version: version, delta: b, state: b[state:]}
}

func appendString(b []byte, number protowire.Number, text string) []byte {
	b = protowire.AppendTag(b, number, protowire.BytesType)
	return protowire.AppendString(b, text)
}
