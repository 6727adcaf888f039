package source

import (
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gracegate/gracegate/policy/instant"
)

// WaiverText is a waiver as it is to be written into a file; what is empty is left out. An instant is RFC 3339, or a legal word
// with its date and zone: "through 2024-12-31 America/New_York".
type WaiverText struct {
	ID                     string
	Clients, Users, Sites  []string
	Vendor                 string
	Channels, Hosts, Zones []string
	From, Until            string
	Owner, Reason          string
}

// File returns a file that holds this waiver alone, with a key a line.
func (w *WaiverText) File(name string) File {
	return File{Name: name, Data: []byte("waivers:\n" + strings.Join(w.lines("  "), "\n") + "\n")}
}

// KeyAt returns the key on a line of File, or "".
func (w *WaiverText) KeyAt(line int) string {
	if keys := w.node().Content; line >= 2 && 2*(line-2) < len(keys) {
		return keys[2*(line-2)].Value
	}
	return ""
}

func (w *WaiverText) node() *yaml.Node {
	out := &yaml.Node{Kind: yaml.MappingNode}
	add := func(key string, value *yaml.Node) {
		if value.Value != "" || len(value.Content) > 0 {
			out.Content = append(out.Content, textNode(key), value)
		}
	}
	add("id", textNode(w.ID))
	add("clients", listNode(w.Clients))
	add("users", listNode(w.Users))
	add("sites", listNode(w.Sites))
	add("vendor", textNode(w.Vendor))
	add("channels", listNode(w.Channels))
	add("hosts", listNode(w.Hosts))
	add("zones", listNode(w.Zones))
	add("from", instantNode(w.From))
	add("until", instantNode(w.Until))
	add("owner", textNode(w.Owner))
	add("reason", textNode(w.Reason))
	return out
}

// textNode is a text on one line.
func textNode(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: oneLine(s)}
}

func oneLine(s string) string {
	return strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "\uFFFD")
}

func listNode(list []string) *yaml.Node {
	out := &yaml.Node{Kind: yaml.SequenceNode, Style: yaml.FlowStyle}
	for _, s := range list {
		out.Content = append(out.Content, textNode(s))
	}
	return out
}

func instantNode(s string) *yaml.Node {
	word, date, legal := strings.Cut(oneLine(s), " ")
	date, zone, hasZone := strings.Cut(date, " ")
	switch instant.Word(word) {
	case instant.OnOrAfter, instant.Until, instant.By, instant.Through:
		if legal && hasZone {
			return &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle, Content: []*yaml.Node{
				textNode(word), stampNode(date), textNode("zone"), textNode(zone),
			}}
		}
	}
	return stampNode(oneLine(s))
}

// stampNode is a date or an instant, which needs no quotes.
func stampNode(s string) *yaml.Node {
	n := textNode(s)
	if _, err := instant.ParseIn(s, nil); err == nil {
		n.Tag = "!!timestamp"
	} else if _, err := instant.Day(s); err == nil {
		n.Tag = "!!timestamp"
	}
	return n
}

// lines returns the waiver as an item of a list whose dashes stand behind this indent.
func (w *WaiverText) lines(indent string) []string {
	lines := strings.Split(strings.TrimRight(written(w.node()), "\n"), "\n")
	for i := range lines {
		dash := "  "
		if i == 0 {
			dash = "- "
		}
		lines[i] = indent + dash + lines[i]
	}
	return lines
}

// inBraces returns the waiver as an item of a list in brackets.
func (w *WaiverText) inBraces() string {
	n := w.node()
	n.Style = yaml.FlowStyle
	return strings.TrimRight(written(n), "\n")
}

// written is the YAML of nodes that are made here, all of which can be written.
func written(n *yaml.Node) string {
	text, err := yaml.Marshal(n)
	if err != nil {
		panic(err)
	}
	return string(text)
}
