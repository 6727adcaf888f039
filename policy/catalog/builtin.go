package catalog

import (
	_ "embed"

	"github.com/gracegate/gracegate/policy/source"
)

//go:embed policy.yaml
var builtin []byte

//go:embed strict.yaml
var strict []byte

// Builtin returns the operator's policy that applies where there is none: every client is in the United States, and exactly
// us-icts-2021-002 is enforced. No other restriction changes a verdict under it.
func Builtin() source.File { return source.File{Name: inBinary + "/policy.yaml", Data: builtin} }

// Strict returns the strict profile, an operator's policy that refuses all that is not seen or not known.
func Strict() source.File { return source.File{Name: inBinary + "/strict.yaml", Data: strict} }
