// Package api serves backlot.rules.v1 over a catalog: api.go the calls of
// RulesService, list.go those of ListService, convert.go decisions and
// diagnostics, errors.go codes.
package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/backlot-video/backlot/kit/identity"
	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules"
	"github.com/backlot-video/backlot/services/rules/internal/catalog"
)

// Server implements rulesv1.RulesServiceServer.
type Server struct{ catalog *catalog.Catalog }

// New returns the API of a catalog.
func New(c *catalog.Catalog) *Server { return &Server{c} }

var _ rulesv1.RulesServiceServer = (*Server)(nil)

// Evaluate implements rulesv1.RulesServiceServer.
func (s *Server) Evaluate(ctx context.Context, req *rulesv1.EvaluateRequest) (*rulesv1.EvaluateResponse, error) {
	decision, err := s.judge(ctx, req)
	if err != nil {
		return nil, coded(err)
	}
	return &rulesv1.EvaluateResponse{Decision: decision}, nil
}

// EvaluateBatch implements rulesv1.RulesServiceServer. The facts are judged in
// order; the first that cannot be judged ends the batch.
func (s *Server) EvaluateBatch(ctx context.Context, req *rulesv1.EvaluateBatchRequest) (*rulesv1.EvaluateBatchResponse, error) {
	res := &rulesv1.EvaluateBatchResponse{Decisions: make([]*rulesv1.Decision, 0, len(req.GetRequests()))}
	for i, one := range req.GetRequests() {
		if err := ctx.Err(); err != nil {
			return nil, coded(err)
		}
		decision, err := s.judge(ctx, one)
		if err != nil {
			return nil, coded(fmt.Errorf("requests[%d]: %w", i, err))
		}
		res.Decisions = append(res.Decisions, decision)
	}
	return res, nil
}

// judge evaluates one request. Velocity is kept apart by tenant.
func (s *Server) judge(ctx context.Context, req *rulesv1.EvaluateRequest) (*rulesv1.Decision, error) {
	query := catalog.Query{
		FactType: req.GetFactType(), SchemaRevision: req.GetSchemaRevision(), Labels: req.GetLabels(),
		Request: rules.Request{EventID: req.GetEventId(), Part: identity.Tenant(ctx), Trace: req.GetTrace()},
	}
	switch fact := req.GetFact().(type) {
	case *rulesv1.EvaluateRequest_Proto:
		query.Wire = fact.Proto
		if query.Wire == nil {
			query.Wire = []byte{}
		}
	case *rulesv1.EvaluateRequest_Json:
		query.JSON = []byte(fact.Json)
	default:
		return nil, errNoFact
	}
	var d rules.Decision
	if err := s.catalog.Evaluate(&query, &d); err != nil {
		return nil, err
	}
	return decisionToProto(&d), nil
}

// Check implements rulesv1.RulesServiceServer.
func (s *Server) Check(_ context.Context, req *rulesv1.CheckRequest) (*rulesv1.CheckResponse, error) {
	checked, err := s.catalog.Check("source", req.GetFactType(), req.GetSource())
	if err != nil {
		return nil, coded(err)
	}
	return checkedToProto(&checked), nil
}

// ListRulesets implements rulesv1.RulesServiceServer.
func (s *Server) ListRulesets(context.Context, *rulesv1.ListRulesetsRequest) (*rulesv1.ListRulesetsResponse, error) {
	res := &rulesv1.ListRulesetsResponse{}
	for _, status := range s.catalog.Status() {
		res.Rulesets = append(res.Rulesets, statusToProto(status))
	}
	return res, nil
}

var errNoFact = errors.New("fact: give proto or json")
