package report

import (
	"strings"
	"testing"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
)

// What is put together from a record is decided as the flow was, whatever was seen of it.
func TestFactsOf(t *testing.T) {
	t.Parallel()
	p := testPolicy(t)
	inner := tunnelTo("s01.upd.acme.example")
	inner.Stage, inner.Method, inner.Inner, inner.Path = policy.StageRequest, "GET", inner.SNI, "/x"
	refused := tunnelTo("s01.upd.acme.example")
	refused.Stage, refused.Hello, refused.SNI = policy.StageAuthority, policy.HelloUnseen, plainTo("a.example", "").SNI
	for kind, f := range map[string]policy.Facts{
		"plain": plainTo("dl1.upd.acme.example", "/x"), "websocket": plainTo("dl1.upd.acme.example", "/ws"), "tunnel": tunnelTo("s01.upd.acme.example"),
		"intercepted": inner, "tunnel refused": refused,
	} {
		kind, _, _ = strings.Cut(kind, " ")
		key := audit.KeyOf(record(p, monthSince, kind, f))
		got := key.Facts()
		f.PathAgain = ""
		if got != f {
			t.Errorf("%s: %+v, want %+v", kind, got, f)
		}
	}
}
