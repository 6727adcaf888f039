package source

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/gracegate/gracegate/policy"
)

// sheet is a file that is being edited. Its text is spliced at the places that its tree tells, rather than written anew from
// the tree, so that comments, order, blank lines and quotes stay as they are. Whether a splice did what it was meant to do is
// seen by reading the result.
type sheet struct {
	file  string
	data  []byte
	lines []int // where each line begins, the first after its byte order mark
	root  *yaml.Node
	br    string // how its lines end
}

func newSheet(f File) (*sheet, error) {
	r := &reader{file: f.Name}
	root := r.document(f.Data, "")
	if root == nil || r.mistakes() > 0 || root.Kind != yaml.MappingNode {
		r.problems.Add(policy.Pos{File: f.Name}, "", "a file with mistakes is not edited")
		return nil, r.done().Err()
	}
	s := &sheet{file: f.Name, data: f.Data, root: root, br: "\n"}
	s.lines = append(s.lines, len(f.Data)-len(bytes.TrimPrefix(f.Data, []byte("\uFEFF"))))
	for i, c := range f.Data {
		if c == '\n' {
			s.lines = append(s.lines, i+1)
		}
	}
	if end := bytes.IndexByte(f.Data, '\n'); end > 0 && f.Data[end-1] == '\r' {
		s.br = "\r\n"
	}
	return s, nil
}

// start returns where a line begins, and beyond the last where the file ends.
func (s *sheet) start(line int) int {
	if line > len(s.lines) {
		return len(s.data)
	}
	return s.lines[line-1]
}

// line returns the text of a line, without its end.
func (s *sheet) line(line int) string {
	return strings.TrimRight(string(s.data[s.start(line):s.start(line+1)]), "\r\n")
}

// offset returns where a node begins. Its column counts characters.
func (s *sheet) offset(n *yaml.Node) int {
	at := s.start(n.Line)
	for range n.Column - 1 {
		_, size := utf8.DecodeRune(s.data[at:])
		at += size
	}
	return at
}

// lineOf returns the line in which a place is.
func (s *sheet) lineOf(at int) int {
	line, found := slices.BinarySearch(s.lines, at)
	if found {
		line++
	}
	return line
}

// lastLine returns the last line on which something in n begins.
func lastLine(n *yaml.Node) int {
	last := n.Line
	for _, c := range n.Content {
		last = max(last, lastLine(c))
	}
	return last
}

// end returns the line after the last of the document: where it is closed by "...", or beyond the end of the file.
func (s *sheet) end() int {
	for line := s.root.Line; line <= len(s.lines); line++ {
		if rest, ok := strings.CutPrefix(s.line(line), "..."); ok && (rest == "" || rest[0] == ' ') {
			return line
		}
	}
	if s.start(len(s.lines)) == len(s.data) { // after the end of the last line
		return len(s.lines)
	}
	return len(s.lines) + 1
}

// back goes back from a line over blank ones and over comments that stand at most at this indent, since they belong to what
// follows, and returns the first of them. It does not go back to floor.
func (s *sheet) back(line, floor, indent int) int {
	for line-1 > floor {
		text := s.line(line - 1)
		trimmed := strings.TrimLeft(text, " ")
		if trimmed != "" && (trimmed[0] != '#' || len(text)-len(trimmed) > indent) {
			break
		}
		line--
	}
	return line
}

// splice replaces data[from:to] by text.
type splice struct {
	from, to int
	text     string
}

// insert is a splice that puts whole lines before a line.
func (s *sheet) insert(line int, lines ...string) splice {
	at := s.start(line)
	text := strings.Join(lines, s.br)
	if at == len(s.data) && at > 0 && s.data[at-1] != '\n' { // a last line without its end; nor has the new one
		return splice{at, at, s.br + text}
	}
	return splice{at, at, text + s.br}
}

// apply returns the text with the splices, which do not overlap.
func (s *sheet) apply(splices []splice) []byte {
	splices = slices.Clone(splices)
	slices.SortStableFunc(splices, func(a, b splice) int { return a.from - b.from })
	var out []byte
	at := 0
	for _, p := range splices {
		out = append(append(out, s.data[at:p.from]...), p.text...)
		at = p.to
	}
	return append(out, s.data[at:]...)
}

// flow is the extent of a list or mapping in brackets.
type flow struct {
	last  int  // after the last character in it that is no space and no comment; after its opening bracket if there is none
	comma bool // which is a comma
	end   int  // after its closing bracket
}

// flowAt returns the extent of what opens here.
func (s *sheet) flowAt(open int) (f flow, ok bool) {
	depth, plain := 0, false // plain: in a text without quotes, where they mean nothing
	for i := open; i < len(s.data); i++ {
		c := s.data[i]
		switch {
		case isSpace(c):
			continue
		case c == '#' && (!plain || isSpace(s.data[i-1])):
			for i+1 < len(s.data) && s.data[i+1] != '\n' {
				i++
			}
			plain = false
			continue
		case !plain && (c == '"' || c == '\''):
			if i = s.quoteAt(i) - 1; i < 0 {
				return flow{}, false
			}
		case c == '[' || c == '{':
			depth++
			plain = false
		case c == ']' || c == '}':
			if depth--; depth == 0 {
				f.end = i + 1
				return f, true
			}
			plain = false
		case c == ',', c == ':' && (!plain || s.separates(i+1)), c == '?' && s.separates(i+1):
			plain = false
		default:
			plain = true
		}
		f.last, f.comma = i+1, c == ',' && depth == 1
	}
	return flow{}, false
}

// quoteAt returns the place after the quotes that open here, or 0.
func (s *sheet) quoteAt(open int) int {
	quote := s.data[open]
	for i := open + 1; i < len(s.data); i++ {
		switch {
		case s.data[i] == '\\' && quote == '"':
			i++
		case s.data[i] != quote:
		case quote == '\'' && i+1 < len(s.data) && s.data[i+1] == quote:
			i++
		default:
			return i + 1
		}
	}
	return 0
}

// separates tells whether a colon in front of this place ends a key.
func (s *sheet) separates(at int) bool {
	return at >= len(s.data) || isSpace(s.data[at]) || strings.IndexByte(",[]{}", s.data[at]) >= 0
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' }

// sameTree compares what two trees say: not how it is written.
func sameTree(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Value != b.Value || isNull(a) != isNull(b) || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !sameTree(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}
