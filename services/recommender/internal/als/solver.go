package als

import (
	"errors"
	"math"

	"github.com/backlot-video/backlot/services/recommender/internal/blas"
)

const (
	blockRows  = 64  // rows solved together
	gatherRows = 256 // opposite rows copied side by side: 64 KB at 64 factors
)

// solver improves blocks of rows. Each row x solves
//
//	(gram + sum of y*y' over its views + weight*I) x = sum of y over its views
//
// where gram is alpha times the sum of y*y' over all opposite rows, d*d. A
// solver is used by one goroutine at a time.
type solver struct {
	other, gram *blas.Matrix
	config      Config

	residual, direction, product *blas.Matrix // rows*d
	gathered                     *blas.Matrix // gatherRows*d
	dots                         []float32    // gatherRows
	weights, norms               []float32    // rows
}

// newSolver returns a solver for at most rows rows at a time.
func newSolver(other, gram *blas.Matrix, config Config, rows int) (*solver, error) {
	s := &solver{
		other: other, gram: gram, config: config,
		dots: make([]float32, gatherRows), weights: make([]float32, rows), norms: make([]float32, rows),
	}
	var errs [4]error
	s.residual, errs[0] = blas.New(rows, config.Factors)
	s.direction, errs[1] = blas.New(rows, config.Factors)
	s.product, errs[2] = blas.New(rows, config.Factors)
	s.gathered, errs[3] = blas.New(gatherRows, config.Factors)
	if err := errors.Join(errs[:]...); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *solver) close() {
	s.residual.Close()
	s.direction.Close()
	s.product.Close()
	s.gathered.Close()
}

// solve takes at most steps conjugate gradient steps for the rows of x, at
// most as many as newSolver was told. viewed returns the opposite rows of row r.
func (s *solver) solve(x *blas.Matrix, viewed func(r int) []uint32, steps int) {
	n := x.Rows()
	residual, direction, product := s.residual.View(0, n), s.direction.View(0, n), s.product.View(0, n)
	s.start(x, viewed, residual)
	copy(direction.Data(), residual.Data())
	for r := range n {
		s.norms[r] = dot(residual.Row(r), residual.Row(r))
	}
	for range steps {
		s.apply(direction, viewed, product)
		for r := range n {
			s.norms[r] = step(x.Row(r), residual.Row(r), direction.Row(r), product.Row(r), s.norms[r])
		}
	}
}

// start sets the residual, right-hand side minus the left one, and the
// weights of the rows.
func (s *solver) start(x *blas.Matrix, viewed func(r int) []uint32, residual *blas.Matrix) {
	blas.Gemm(false, false, -1, x, s.gram, 0, residual)
	for r := range x.Rows() {
		indexes := viewed(r)
		base := float64(len(indexes)) + float64(s.config.Alpha)*float64(s.other.Rows())
		s.weights[r] = s.config.Lambda * float32(math.Pow(base, float64(s.config.Exponent)))
		add(residual.Row(r), -s.weights[r], x.Row(r))
		s.views(indexes, x.Row(r), residual.Row(r), func(dots []float32) {
			for i := range dots {
				dots[i] = 1 - dots[i]
			}
		})
	}
}

// apply sets product to the left-hand side for the rows of direction.
func (s *solver) apply(direction *blas.Matrix, viewed func(r int) []uint32, product *blas.Matrix) {
	blas.Gemm(false, false, 1, direction, s.gram, 0, product)
	for r := range direction.Rows() {
		add(product.Row(r), s.weights[r], direction.Row(r))
		s.views(viewed(r), direction.Row(r), product.Row(r), nil)
	}
}

// views adds to sum the opposite rows y, each times change(y.x).
func (s *solver) views(indexes []uint32, x, sum []float32, change func(dots []float32)) {
	for len(indexes) > 0 {
		n := min(len(indexes), gatherRows)
		chunk, dots := s.gathered.View(0, n), s.dots[:n]
		for i, index := range indexes[:n] {
			copy(chunk.Row(i), s.other.Row(int(index)))
		}
		blas.Gemv(false, 1, chunk, x, 0, dots)
		if change != nil {
			change(dots)
		}
		blas.Gemv(true, 1, chunk, dots, 1, sum)
		indexes = indexes[n:]
	}
}

// step takes one step for one row and returns the new squared norm of the
// residual. A row that is already solved stays.
func step(x, residual, direction, product []float32, norm float32) float32 {
	curvature := dot(direction, product)
	if norm <= 1e-20 || curvature <= 0 {
		return 0
	}
	length := norm / curvature
	add(x, length, direction)
	add(residual, -length, product)
	next := dot(residual, residual)
	ratio := next / norm
	for i := range direction {
		direction[i] = residual[i] + ratio*direction[i]
	}
	return next
}

func dot(a, b []float32) float32 {
	var even, odd float32
	b = b[:len(a)]
	i := 0
	for ; i+2 <= len(a); i += 2 {
		even += a[i] * b[i]
		odd += a[i+1] * b[i+1]
	}
	if i < len(a) {
		even += a[i] * b[i]
	}
	return even + odd
}

func add(sum []float32, factor float32, x []float32) {
	x = x[:len(sum)]
	for i := range sum {
		sum[i] += factor * x[i]
	}
}
