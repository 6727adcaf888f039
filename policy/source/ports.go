package source

import (
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// ports reads a list of ports, 443, and of ranges with both their ends, 27200-27299.
func (r *reader) ports(out *[]policy.PortRange) reading {
	return r.filled("port", r.each("port", func(n *yaml.Node) {
		s, ok := r.scalar(n, "a port")
		if !ok {
			return
		}
		from, to, isRange := strings.Cut(s, "-")
		if !isRange {
			to = from
		}
		first, err := host.ParsePort(from)
		last, err2 := host.ParsePort(to)
		if err = errors.Join(err, err2); err != nil {
			if e, ok := errors.AsType[*host.Error](err); ok {
				r.wrong(n, "write 443, or 27200-27299", "port %s is %s", quote(e.Input), e.Reason)
			}
			return
		}
		if first > last {
			r.wrong(n, "write "+to+"-"+from, "ports %s count down", quote(s))
			return
		}
		*out = append(*out, policy.PortRange{First: first, Last: last})
	}))
}

// paths reads a pattern of paths or a list of them.
func (r *reader) paths(out *[]policy.Pattern) reading {
	return r.oneOrMore("path", func(n *yaml.Node) {
		s, ok := r.scalar(n, "a path")
		if !ok {
			return
		}
		p, err := policy.ParsePattern(s)
		if err != nil {
			r.wrong(n, "", "%s", err)
			return
		}
		*out = append(*out, p)
	})
}
