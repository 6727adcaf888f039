package source

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/instant"
)

// AddWaiver returns the text of an operator's file, or of one of waivers, with one more waiver at the end of its list. Nothing
// else in it changes, but that an empty list, [], gives way to one with dashes. The waiver is written as it is: whether it is
// right shows when the result is read. The error, policy.Problems, says that the file has mistakes, or a layout that cannot be
// kept.
func AddWaiver(f File, w *WaiverText) ([]byte, error) {
	s, err := newSheet(f)
	if err != nil {
		return nil, err
	}
	l := waiversIn(s.root)
	for _, way := range s.waysToAdd(l, w) {
		if out := s.apply(way); s.became(out, slices.Concat(l.items(), []*yaml.Node{w.node()})) {
			return out, nil
		}
	}
	at := l.key
	if at == nil {
		at = s.root
	}
	return nil, s.cannot(at)
}

// EndWaiver returns the text of a file in which the waiver ends at this instant, with a comment above it that says so and why.
// The error is policy.Problems.
func EndWaiver(f File, id string, at time.Time, reason string) ([]byte, error) {
	s, l, i, err := sheetWith(f, id)
	if err != nil {
		return nil, err
	}
	items, until := slices.Clone(l.items()), instant.Format(at)
	key, value := find(items[i], "until")
	if value == nil {
		return nil, s.cannot(items[i])
	}
	was := []string{value.Value}
	for _, c := range value.Content { // a legal word
		was = append(was, c.Value)
	}
	comment, err := s.comment(l, i, id+" revoked "+until+", was to end "+strings.TrimSpace(strings.Join(was, " ")), reason)
	if err != nil {
		return nil, err
	}
	ended := *items[i]
	ended.Content = slices.Clone(ended.Content)
	ended.Content[slices.Index(ended.Content, value)] = stampNode(until)
	items[i] = &ended
	if way := s.replace(key, value, until); way != nil {
		if out := s.apply(append(way, comment...)); s.became(out, items) {
			return out, nil
		}
	}
	return nil, s.cannot(value)
}

// DropWaiver returns the text of a file without the waiver, and with a comment in its place that says when and why it went. The
// error is policy.Problems.
func DropWaiver(f File, id string, at time.Time, reason string) ([]byte, error) {
	s, l, i, err := sheetWith(f, id)
	if err != nil {
		return nil, err
	}
	comment, err := s.comment(l, i, id+" revoked "+instant.Format(at)+", before it began", reason)
	if err != nil {
		return nil, err
	}
	way := s.withoutItem(l, i)
	if out := s.apply(append(comment, way...)); way != nil && s.became(out, slices.Delete(slices.Clone(l.items()), i, i+1)) {
		return out, nil
	}
	return nil, s.cannot(l.items()[i])
}

// cannot is the error for a layout that is not known here.
func (s *sheet) cannot(n *yaml.Node) error {
	return policy.Problems{{
		Pos:     policy.Pos{File: s.file, Line: n.Line, Column: n.Column},
		Message: "this layout cannot be edited without changing more of the file",
		Hint:    `write waivers: on a line of its own, and below it each waiver behind "- "`,
	}}
}

// sheetWith returns a file that holds a waiver, its list, and the waiver's place in it.
func sheetWith(f File, id string) (s *sheet, l waiverList, i int, err error) {
	if s, err = newSheet(f); err != nil {
		return nil, l, 0, err
	}
	l = waiversIn(s.root)
	i = slices.IndexFunc(l.items(), func(item *yaml.Node) bool {
		_, value := find(item, "id")
		return value != nil && value.Value == id
	})
	if i < 0 {
		return nil, l, 0, policy.Problems{{Pos: policy.Pos{File: f.Name}, Message: "no waiver " + quote(id) + " in this file"}}
	}
	return s, l, i, nil
}

// waiverList is where a file has its waivers. All is nil where it has none.
type waiverList struct{ key, value, next *yaml.Node } // next is the key that follows

func waiversIn(root *yaml.Node) (l waiverList) {
	if l.key, l.value = find(root, "waivers"); l.key == nil {
		return l
	}
	if i := slices.Index(root.Content, l.key); i+2 < len(root.Content) {
		l.next = root.Content[i+2]
	}
	return l
}

func (l waiverList) items() []*yaml.Node {
	if l.value == nil {
		return nil
	}
	return l.value.Content
}

// find returns a key of a mapping and its value.
func find(mapping *yaml.Node, name string) (key, value *yaml.Node) {
	if mapping.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i], mapping.Content[i+1]
		}
	}
	return nil, nil
}

// became tells whether the edited text has these waivers, and otherwise says what the file said.
func (s *sheet) became(out []byte, items []*yaml.Node) bool {
	first, second, err := decode(out)
	if err != nil || first == nil || second != nil {
		return false
	}
	root := first.Content[0]
	list := func(items []*yaml.Node) *yaml.Node { return &yaml.Node{Kind: yaml.SequenceNode, Content: items} }
	rest := func(root *yaml.Node) *yaml.Node {
		return list(slices.DeleteFunc(slices.Clone(root.Content), func(n *yaml.Node) bool {
			l := waiversIn(root)
			return n == l.key || n == l.value
		}))
	}
	return root.Kind == yaml.MappingNode && sameTree(list(waiversIn(root).items()), list(items)) && sameTree(rest(root), rest(s.root))
}

// waysToAdd returns what may add a waiver, the nicest first.
func (s *sheet) waysToAdd(l waiverList, w *WaiverText) [][]splice {
	inside := s.root.Style&yaml.FlowStyle != 0
	indent := strings.Repeat(" ", s.root.Column-1)
	switch {
	case l.key == nil && inside:
		return [][]splice{s.intoBrackets(s.root, "waivers: ["+w.inBraces()+"]")}
	case l.key == nil:
		lines := append([]string{indent + "waivers:"}, w.lines(indent+"  ")...)
		if end := s.end(); s.line(end-1) != "" {
			lines = slices.Insert(lines, 0, "")
		}
		return [][]splice{{s.insert(s.end(), lines...)}}
	case isNull(l.value) && inside:
		end := s.keyEnd(l.key) // of one that stands without a colon
		return [][]splice{s.replace(l.key, l.value, "["+w.inBraces()+"]"), {{end, end, ": [" + w.inBraces() + "]"}}}
	case isNull(l.value):
		return s.ways(l, s.clear(l), w.lines(indent+"  "))
	case l.value.Style&yaml.FlowStyle == 0:
		return s.ways(l, nil, w.lines(strings.Repeat(" ", l.value.Column-1)))
	}
	ways := [][]splice{s.intoBrackets(l.value, w.inBraces())}
	if nothing := s.clear(l); nothing != nil && !inside && len(l.value.Content) == 0 {
		ways = append(s.ways(l, nothing, w.lines(indent+"  ")), ways...)
	}
	return ways
}

// ways puts lines at the end of a list with dashes: before the comments that belong to what follows, or else right before that.
func (s *sheet) ways(l waiverList, first []splice, lines []string) [][]splice {
	end := s.after(l)
	return [][]splice{
		append(slices.Clone(first), s.insert(s.back(end, lastLine(l.value), s.root.Column-1), lines...)),
		append(slices.Clone(first), s.insert(end, lines...)),
	}
}

// after returns the line on which what follows the list begins.
func (s *sheet) after(l waiverList) int {
	if l.next != nil {
		return l.next.Line
	}
	return s.end()
}

// clear takes away what says on the key's line that there is nothing, and no more.
func (s *sheet) clear(l waiverList) []splice {
	colon, from := s.colon(l.key), s.offset(l.value)
	to := from + len(l.value.Value)
	if l.value.Kind == yaml.SequenceNode {
		if f, ok := s.flowAt(from); ok && strings.TrimLeft(string(s.data[f.last:f.end]), " ") == "]" {
			to = f.end
		}
	}
	if colon == 0 || l.value.Line != l.key.Line || to <= from {
		return nil
	}
	return []splice{{colon, to, ""}}
}

func (s *sheet) keyEnd(key *yaml.Node) int {
	at := s.offset(key)
	if c := s.data[at]; c == '"' || c == '\'' {
		return s.quoteAt(at)
	}
	return at + len(key.Value)
}

// colon returns the place after the colon of a key, or 0.
func (s *sheet) colon(key *yaml.Node) int {
	at := s.keyEnd(key)
	for at < len(s.data) && s.data[at] == ' ' {
		at++
	}
	if at < len(s.data) && s.data[at] == ':' {
		return at + 1
	}
	return 0
}

// intoBrackets puts an item at the end of a list or mapping in brackets: on a line of its own if the others are.
func (s *sheet) intoBrackets(n *yaml.Node, item string) []splice {
	open := s.offset(n)
	f, ok := s.flowAt(open)
	switch {
	case !ok:
		return nil
	case f.last == open+1:
		return []splice{{f.last, f.last, item}}
	}
	comma, more := ",", ""
	if f.comma {
		comma, more = "", ","
	}
	rest := strings.IndexByte(string(s.data[f.last:f.end]), '\n')
	if rest < 0 {
		return []splice{{f.last, f.last, comma + " " + item + more}}
	}
	line := s.line(n.Content[len(n.Content)-1].Line)
	indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
	return []splice{{f.last, f.last, comma}, s.insert(s.lineOf(f.last)+1, indent+item+more)}
}

// replace writes another value behind a key.
func (s *sheet) replace(key, value *yaml.Node, text string) []splice {
	from := s.offset(value)
	to := from + len(value.Value)
	colon := s.colon(key)
	switch {
	case colon == 0:
		return nil
	case value.Kind == yaml.ScalarNode && value.Value == "" || value.Kind == yaml.MappingNode && value.Style&yaml.FlowStyle == 0:
		way := []splice{{colon, colon, " " + text}}
		if value.Kind == yaml.MappingNode {
			way = append(way, splice{s.start(value.Line), s.start(lastLine(value) + 1), ""})
		}
		return way
	case value.Kind == yaml.MappingNode:
		f, _ := s.flowAt(from)
		to = f.end
	case value.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		to = s.quoteAt(from)
	case value.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 || string(s.data[from:min(to, len(s.data))]) != value.Value:
		return nil
	}
	if to <= from {
		return nil
	}
	return []splice{{from, to, text}}
}

// comment is a line above a waiver, or above what stands around it where that is in brackets.
func (s *sheet) comment(l waiverList, i int, note, reason string) ([]splice, error) {
	if reason = oneLine(reason); reason != "" {
		note += ": " + reason
	}
	if at := strings.IndexFunc(note, invisible); at >= 0 {
		return nil, policy.Problems{{Message: "the reason has an invisible character: " + quote(reason), Hint: "remove it"}}
	}
	line, column := s.root.Line, s.root.Column
	switch {
	case s.root.Style&yaml.FlowStyle != 0:
	case l.value.Style&yaml.FlowStyle != 0:
		line = l.key.Line
	default:
		line, column = s.dash(l, i), l.value.Column
	}
	if line == 0 {
		return nil, s.cannot(l.value.Content[i])
	}
	return []splice{s.insert(line, strings.Repeat(" ", column-1)+"# "+note)}, nil
}

// dash returns the line with the dash of an item, or 0.
func (s *sheet) dash(l waiverList, i int) int {
	for line := l.value.Content[i].Line; line > l.key.Line; line-- {
		if strings.HasPrefix(s.line(line), strings.Repeat(" ", l.value.Column-1)+"-") {
			return line
		}
	}
	return 0
}

// withoutItem takes an item away, with its comma where it has one.
func (s *sheet) withoutItem(l waiverList, i int) []splice {
	item := l.value.Content[i]
	if l.value.Style&yaml.FlowStyle == 0 {
		end := s.after(l)
		if i+1 < len(l.value.Content) {
			end = s.dash(l, i+1)
		}
		if end == 0 {
			return nil
		}
		return []splice{{s.start(s.dash(l, i)), s.start(s.back(end, lastLine(item), l.value.Column-1)), ""}}
	}
	from := s.offset(item)
	f, ok := s.flowAt(from)
	if !ok || s.data[from] != '{' {
		return nil
	}
	to := f.end
	for to < len(s.data) && isSpace(s.data[to]) {
		to++
	}
	if s.data[to] != ',' { // the last one: the comma before it goes
		before := from - 1
		for before > 0 && isSpace(s.data[before]) {
			before--
		}
		if s.data[before] == ',' {
			from = before
		}
		return []splice{{from, f.end, ""}}
	}
	for to++; to < len(s.data) && s.data[to] == ' '; to++ {
	}
	return []splice{{from, to, ""}}
}

var revokedComment = regexp.MustCompile(`(?m)^ *# ([A-Za-z0-9._-]+) revoked ([^ ,:]+T[^ ,]+Z)(?:, |: |\r?$)`)

// Revoked returns the waivers of which a comment by EndWaiver or DropWaiver stands in the text, each with its last instant.
func Revoked(data []byte) map[string]time.Time {
	found := make(map[string]time.Time)
	for _, m := range revokedComment.FindAllSubmatch(data, -1) {
		if at, err := instant.Parse(string(m[2])); err == nil {
			found[string(m[1])] = at
		}
	}
	return found
}
