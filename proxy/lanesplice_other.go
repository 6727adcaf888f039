//go:build !linux

package proxy

// spliceBody is for systems that splice.
func (*lane) spliceBody(_ *flow, _ *originConn, left int64) (rest int64, side string, err error) {
	return left, "", nil
}
