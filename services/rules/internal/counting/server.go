package counting

import (
	"context"
	"time"

	"connectrpc.com/connect"

	rulesv1 "github.com/backlot-video/backlot/proto/gen/backlot/rules/v1"
	"github.com/backlot-video/backlot/services/rules/velocity"
)

// Server counts for other replicas: rulesv1.VelocityServiceServer.
type Server struct{ counts *Counts }

// NewServer returns the API of counts.
func NewServer(c *Counts) *Server { return &Server{c} }

var _ rulesv1.VelocityServiceServer = (*Server)(nil)

// Count implements rulesv1.VelocityServiceServer. It answers when what it
// counted is in the journal.
func (s *Server) Count(ctx context.Context, req *rulesv1.CountRequest) (*rulesv1.CountResponse, error) {
	translations, err := translate(s.counts.Store, req.GetTables(), s.counts.config.Velocity.Clock().Unix())
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	res := &rulesv1.CountResponse{Answers: make([]*rulesv1.CountAnswer, len(req.GetQuestions()))}
	for i, question := range req.GetQuestions() {
		res.Answers[i] = s.answer(question, translations)
	}
	if err := s.counts.Confirm(ctx); err != nil {
		return nil, err
	}
	return res, nil
}

func (s *Server) answer(question *rulesv1.CountQuestion, translations []translation) *rulesv1.CountAnswer {
	record, ok := recordFromProto(question.GetRecord(), translations)
	if !ok {
		return &rulesv1.CountAnswer{}
	}
	if !s.counts.cluster.holds(record.Partition()) {
		return &rulesv1.CountAnswer{Moved: true}
	}
	queries := make([]velocity.Query, len(question.GetQueries()))
	for i, query := range question.GetQueries() {
		queries[i] = velocity.Query{Field: int(query.GetColumn()), Window: time.Duration(query.GetWindow()) * time.Second}
	}
	group, ok := translations[question.GetRecord().GetTable()].Group(queries)
	if !ok {
		return &rulesv1.CountAnswer{}
	}
	readings := make([]velocity.Reading, len(queries))
	s.counts.Count(&record, question.GetAdd(), group, readings)
	answer := &rulesv1.CountAnswer{Readings: make([]*rulesv1.VelocityReading, len(readings))}
	for i := range readings {
		answer.Readings[i] = readingToProto(&readings[i])
	}
	return answer
}
