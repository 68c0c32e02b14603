package api

import (
	"context"
	"errors"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/internal/catalog"
	"github.com/backlot-video/backlot/services/rules/internal/listing"
	"github.com/backlot-video/backlot/services/rules/internal/part"
)

// errFolder is for those who would keep lists where a folder has them.
var errFolder = errors.New("lists are read from the folder rules.dir")

// Lists implements rulesv1.ListServiceServer.
type Lists struct {
	catalog *catalog.Catalog
	store   *part.Store
}

// NewLists returns the API of the lists of a catalog. store is nil where
// lists come from a folder.
func NewLists(c *catalog.Catalog, store *part.Store) *Lists { return &Lists{c, store} }

var _ rulesv1.ListServiceServer = (*Lists)(nil)

// FindParts implements rulesv1.ListServiceServer.
func (s *Lists) FindParts(ctx context.Context, req *rulesv1.FindPartsRequest) (*rulesv1.FindPartsResponse, error) {
	if s.store == nil {
		return nil, coded(errFolder)
	}
	names := make([]part.Name, len(req.GetSha256()))
	for i, sum := range req.GetSha256() {
		names[i] = part.NameOf(&rulesv1.ListPart{Sha256: sum})
	}
	missing, err := s.store.Missing(ctx, names)
	if err != nil {
		return nil, coded(err)
	}
	res := &rulesv1.FindPartsResponse{}
	for _, name := range missing {
		res.Missing = append(res.Missing, name[:])
	}
	return res, nil
}

// PutPart implements rulesv1.ListServiceServer.
func (s *Lists) PutPart(ctx context.Context, req *rulesv1.PutPartRequest) (*rulesv1.PutPartResponse, error) {
	if s.store == nil {
		return nil, coded(errFolder)
	}
	if err := part.Check(req.GetPart(), listing.MatchOf(req.GetMatch()), req.GetZstd()); err != nil {
		return nil, coded(err)
	}
	if err := s.store.Put(ctx, req.GetPart(), req.GetZstd()); err != nil {
		return nil, coded(err)
	}
	return &rulesv1.PutPartResponse{}, nil
}

// ListLists implements rulesv1.ListServiceServer.
func (s *Lists) ListLists(context.Context, *rulesv1.ListListsRequest) (*rulesv1.ListListsResponse, error) {
	res := &rulesv1.ListListsResponse{}
	for _, status := range s.catalog.Lists() {
		one := &rulesv1.ListStatus{
			Name: status.Name, Version: status.Version, Match: listing.MatchTo(status.Match), Entries: uint64(status.Entries),
			Bytes: uint64(status.Bytes), LoadDuration: status.Took.Microseconds(), Rejected: status.Rejected, RejectedVersion: status.Refused,
		}
		if !status.At.IsZero() {
			one.LoadedAt = status.At.UnixMicro()
		}
		res.Lists = append(res.Lists, one)
	}
	return res, nil
}

// Lookup implements rulesv1.ListServiceServer.
func (s *Lists) Lookup(_ context.Context, req *rulesv1.LookupRequest) (*rulesv1.LookupResponse, error) {
	l, version, err := s.catalog.List(req.GetName())
	if err != nil {
		return nil, coded(err)
	}
	res := &rulesv1.LookupResponse{Version: version, Matches: make([]bool, len(req.GetValues()))}
	for i, value := range req.GetValues() {
		res.Matches[i] = l.Has(value)
	}
	return res, nil
}
