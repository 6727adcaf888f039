//go:build !linux

package proxy

// pipe and pipePool are for systems that splice.
type (
	pipe     struct{}
	pipePool struct{}
)

var allPipes pipePool

func (n *direction) splices() bool                         { return false }
func (n *direction) spliceIn(uintptr) (done, handled bool) { return false, false }
func (n *direction) spliceOut(uintptr) error               { return nil }
func (n *direction) freePipe()                             {}
