package als

import (
	"runtime"

	"github.com/backlot-video/backlot/services/recommender/internal/blas"
)

// foldSteps solves a viewer from nothing to float32's precision in practice.
const foldSteps = 16

// Folder computes a viewer's factors from their views and fixed items, so
// that viewers unknown to the training, and views newer than it, count.
// It may be used by many goroutines at once.
type Folder struct {
	items, gram *blas.Matrix
	config      Config
	idle        chan *desk
}

// desk is what one running Fold needs.
type desk struct {
	solver *solver
	x      *blas.Matrix // 1*d
}

func (d *desk) close() {
	d.solver.close()
	d.x.Close()
}

// NewFolder returns a folder over items, cols*d, which stay the caller's and
// must not change or be closed before the folder is. config is that of the
// training; its Factors must be d.
func NewFolder(items *blas.Matrix, config Config) (*Folder, error) {
	config = config.WithDefaults()
	config.Factors = items.Cols()
	if err := config.Validate(); err != nil {
		return nil, err
	}
	gram, err := blas.New(config.Factors, config.Factors)
	if err != nil {
		return nil, err
	}
	blas.Gemm(true, false, config.Alpha, items, items, 0, gram)
	return &Folder{items: items, gram: gram, config: config, idle: make(chan *desk, runtime.GOMAXPROCS(0))}, nil
}

// Fold writes the factors of a viewer of these items, each below the number
// of items and named once, to the d numbers of x.
func (f *Folder) Fold(viewed []uint32, x []float32) error {
	d, err := f.desk()
	if err != nil {
		return err
	}
	clear(d.x.Data())
	d.solver.solve(d.x, func(int) []uint32 { return viewed }, foldSteps)
	copy(x, d.x.Data())
	select {
	case f.idle <- d:
	default:
		d.close()
	}
	return nil
}

func (f *Folder) desk() (*desk, error) {
	select {
	case d := <-f.idle:
		return d, nil
	default:
	}
	x, err := blas.New(1, f.config.Factors)
	if err != nil {
		return nil, err
	}
	s, err := newSolver(f.items, f.gram, f.config, 1)
	if err != nil {
		x.Close()
		return nil, err
	}
	return &desk{solver: s, x: x}, nil
}

// Close frees the folder's memory, and not the items. No Fold may be running.
func (f *Folder) Close() {
	for {
		select {
		case d := <-f.idle:
			d.close()
		default:
			f.gram.Close()
			return
		}
	}
}
