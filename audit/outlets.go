package audit

import (
	"context"
	"errors"
	"io"
)

// Outlet is one place where records go.
type Outlet struct {
	Name string // for metrics and logs
	Sink Sink
	// Closer is closed when the last record is written, or is given up. A Write of the sink that waits ends then. If nil,
	// nothing is closed.
	Closer io.Closer
	// Reopen opens a file anew by its name, after it was renamed. It may be called while Sink is writing. If nil, there is no file.
	Reopen func() error
}

// Fan hands every record to all of its outlets. Each has a queue of its own, a [Recorder], so that one that is slow or broken
// holds up neither the others nor who records: what finds no room there is counted as lost. Its methods may be called from
// any goroutine.
type Fan struct {
	outlets   []Outlet
	recorders []*Recorder
}

// NewFan starts a recorder with a queue of size records (at least 1) for each outlet. [Fan.Close] ends them.
func NewFan(size int, outlets ...Outlet) *Fan {
	f := &Fan{outlets: outlets}
	for _, o := range outlets {
		f.recorders = append(f.recorders, newRecorder(o.Sink, size, lingerTime))
	}
	return f
}

// Queue queues records at every outlet. It never blocks, and keeps what the records point to.
func (f *Fan) Queue(records []*Record) {
	for _, r := range records {
		for _, to := range f.recorders {
			to.Queue(r)
		}
	}
}

// Outlets gives the recorder of each outlet by its name.
func (f *Fan) Outlets() map[string]*Recorder {
	all := make(map[string]*Recorder, len(f.outlets))
	for i, o := range f.outlets {
		all[o.Name] = f.recorders[i]
	}
	return all
}

// Reopen opens all files anew by their names, after something renamed them.
func (f *Fan) Reopen() error {
	var errs []error
	for _, o := range f.outlets {
		if o.Reopen != nil {
			errs = append(errs, o.Reopen())
		}
	}
	return errors.Join(errs...)
}

// Close takes no more records and waits until those that are queued are written, or ctx ends; then it closes the outlets. Its
// errors say how many records were not written.
func (f *Fan) Close(ctx context.Context) error {
	errs := make(chan error, len(f.outlets))
	for i, o := range f.outlets {
		go func() { errs <- closeOutlet(ctx, o, f.recorders[i]) }()
	}
	var all []error
	for range f.outlets {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

func closeOutlet(ctx context.Context, o Outlet, r *Recorder) error {
	err := r.Close(ctx)
	if err != nil {
		err = &outletError{o.Name, err}
	}
	if o.Closer != nil {
		err = errors.Join(err, o.Closer.Close())
	}
	return err
}

// outletError says at which outlet something went wrong.
type outletError struct {
	outlet string
	error
}

func (e *outletError) Error() string { return e.outlet + ": " + e.error.Error() }
func (e *outletError) Unwrap() error { return e.error }
