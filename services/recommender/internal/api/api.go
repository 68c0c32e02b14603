// Package api serves the recommender's contract: it turns messages into
// calls of the engine and back.
//
//	api.go     RecommenderService
//	errors.go  domain faults to codes
//
// Who may call a method at all is decided before, by kit/rpc; that a viewer
// asks only for themselves is decided here.
package api

import (
	"context"
	"strings"

	"github.com/backlot-video/backlot/kit/identity"
	recommenderv1alpha1 "github.com/backlot-video/backlot/proto/gen/backlot/recommender/v1alpha1"

	"github.com/backlot-video/backlot/services/recommender/internal/engine"
	"github.com/backlot-video/backlot/services/recommender/internal/model"
	"github.com/backlot-video/backlot/services/recommender/internal/shelf"
	"github.com/backlot-video/backlot/services/recommender/internal/trainer"
)

const defaultLimit = 10

// Server implements RecommenderServiceServer.
type Server struct {
	Engine *engine.Engine
	// Blend returns the configured mix, nil where there is none.
	Blend func() *recommenderv1alpha1.Blend
}

var _ recommenderv1alpha1.RecommenderServiceServer = (*Server)(nil)

// Recommend implements RecommenderServiceServer.
func (s *Server) Recommend(ctx context.Context, req *recommenderv1alpha1.RecommendRequest) (*recommenderv1alpha1.RecommendResponse, error) {
	viewer, err := viewerOf(ctx, req.GetViewerId())
	if err != nil {
		return nil, err
	}
	query := shelf.Query{
		Exclude: req.GetExcludeVideoIds(), IncludeWatched: req.GetIncludeWatched(), Limit: limit(req.GetLimit()),
	}
	if blend := s.Blend(); blend != nil {
		query.Popularity = new(float32(blend.GetPopularityPpm()) / 1e6)
	}
	answer, err := s.Engine.Recommend(ctx, identity.Tenant(ctx), viewer, query)
	if err != nil {
		return nil, coded(err)
	}
	return &recommenderv1alpha1.RecommendResponse{
		Candidates: candidates(answer), ModelVersion: answer.ModelVersion, Strategy: answer.Strategy,
	}, nil
}

// viewerOf returns who is asked about: the caller, or somebody else where
// the caller is an operator or a service.
func viewerOf(ctx context.Context, asked string) (string, error) {
	caller, _ := identity.From(ctx)
	mayName := caller.Kind == identity.Operator || caller.Kind == identity.Service
	switch {
	case asked == "" && mayName:
		return "", errNoViewer
	case asked == "" || asked == caller.ID:
		return caller.ID, nil
	case mayName:
		return asked, nil
	default:
		return "", errOtherViewer
	}
}

func limit(asked uint32) int {
	if asked == 0 {
		return defaultLimit
	}
	return int(asked)
}

func candidates(answer shelf.Answer) []*recommenderv1alpha1.Candidate {
	list := make([]*recommenderv1alpha1.Candidate, len(answer.Candidates))
	for i, c := range answer.Candidates {
		list[i] = &recommenderv1alpha1.Candidate{VideoId: c.VideoID, Score: c.Score}
	}
	return list
}

// ListSimilar implements RecommenderServiceServer.
func (s *Server) ListSimilar(ctx context.Context, req *recommenderv1alpha1.ListSimilarRequest) (*recommenderv1alpha1.ListSimilarResponse, error) {
	answer, err := s.Engine.Similar(identity.Tenant(ctx), req.GetVideoId(), limit(req.GetLimit()))
	if err != nil {
		return nil, coded(err)
	}
	return &recommenderv1alpha1.ListSimilarResponse{Candidates: candidates(answer), ModelVersion: answer.ModelVersion}, nil
}

// Train implements RecommenderServiceServer.
func (s *Server) Train(ctx context.Context, req *recommenderv1alpha1.TrainRequest) (*recommenderv1alpha1.TrainResponse, error) {
	m, err := s.Engine.Train(ctx, identity.Tenant(ctx), trainer.Options{Seed: req.GetSeed(), Shuffle: req.GetShuffleViews()})
	if err != nil {
		return nil, coded(err)
	}
	return &recommenderv1alpha1.TrainResponse{Model: describe(m), Serving: !req.GetShuffleViews()}, nil
}

// GetModel implements RecommenderServiceServer.
func (s *Server) GetModel(ctx context.Context, _ *recommenderv1alpha1.GetModelRequest) (*recommenderv1alpha1.GetModelResponse, error) {
	return &recommenderv1alpha1.GetModelResponse{Model: describe(s.Engine.Model(identity.Tenant(ctx)))}, nil
}

func describe(m *model.Model) *recommenderv1alpha1.Model {
	if m == nil {
		return nil
	}
	blas := "go"
	if strings.HasPrefix(m.Backend, "OpenBLAS") {
		blas = "openblas"
	}
	return &recommenderv1alpha1.Model{
		Version: m.Version, TrainedAt: m.TrainedAt.UnixMicro(), TrainingTime: m.TrainingTime.Microseconds(),
		Viewers: uint32(m.Viewers), Videos: uint32(len(m.Videos)), Views: m.Views, Factors: uint32(m.Config.Factors),
		RecallAt_10: float32(m.Quality.Recall), PopularityRecallAt_10: float32(m.Quality.PopularityRecall),
		Blas: blas,
	}
}
