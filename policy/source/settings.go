package source

import (
	"go.yaml.in/yaml/v3"

	"github.com/gracegate/gracegate/policy"
)

func (r *operatorReader) settings(n *yaml.Node, out *policy.Settings) {
	var multi uint8
	r.mapping(n, "the settings",
		may("mode", choice(r.reader, "mode", policy.ModeWords, &out.Mode)),
		may("default", r.verdict("default", "allow", &out.Default)),
		may("multi-channel", choice(r.reader, "word for multi-channel", []string{"any", "all"}, &multi)),
		may("after-floor", r.verdict("after-floor", "warn", &out.AfterFloor)),
		may("block-page", r.flag(&out.BlockPage)),
		may("warn-before", r.duration(&out.WarnBefore)),
		section("unseen", func(n *yaml.Node) { r.unseen(n, &out.Unseen) }))
	out.AllOf = multi == 1
}

func (r *operatorReader) unseen(n *yaml.Node, out *policy.UnseenSettings) {
	setting := func(key string, v *policy.Verdict) field { return may(key, r.verdict(key, "allow", v)) }
	r.mapping(n, "the settings of unseen",
		setting("address", &out.Address),
		setting("no-sni", &out.NoSNI),
		setting("not-tls", &out.NotTLS),
		setting("ech", &out.ECH),
		setting("mismatch", &out.Mismatch),
		setting("unreadable", &out.Unreadable),
		setting("request", &out.Request))
}
