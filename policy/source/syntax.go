package source

import (
	"bytes"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/gracegate/gracegate/policy"
)

var (
	syntaxError   = regexp.MustCompile(`^yaml: (?:line ([0-9]+): )?(.*)$`)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced$`)
)

// syntax tells a mistake in the YAML itself. The library gives no column, so the first character of the line is named.
func (r *reader) syntax(data []byte, err error) {
	line, message := splitSyntax(err)
	if m := unknownAnchor.FindStringSubmatch(message); m != nil {
		before, _, _ := bytes.Cut(data, []byte("*"+m[1]))
		at := policy.Pos{File: r.file, Line: bytes.Count(before, []byte("\n")) + 1}
		at.Column = utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
		r.add(at, "write it out", "an alias, *%s", m[1])
		return
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	if strings.HasPrefix(message, "did not find expected") {
		line = lineThatBreaks(data, lines, message)
	}
	line = min(max(line, 1), len(lines))
	text := []rune(string(lines[line-1]))
	column := 1
	for column < len(text) && text[column-1] == ' ' {
		column++
	}
	r.add(policy.Pos{File: r.file, Line: line, Column: column}, syntaxHint(message), "not YAML: %s", message)
}

// syntaxHint says what is mostly behind what the library says.
func syntaxHint(message string) string {
	switch message {
	case "mapping values are not allowed in this context":
		return `put a text that has ": " in it into quotes, or look at the indentation`
	case "found character that cannot start any token":
		return "put the text into quotes"
	case "found unexpected end of stream":
		return "close the quote that is opened here"
	case "could not find expected ':'":
		return "write key: value"
	case "did not find expected ',' or ']'":
		return "close the bracket that is opened here, or put a comma between"
	case "did not find expected ',' or '}'":
		return "close the brace that is opened here, or put a comma between"
	case "did not find expected key", "did not find expected '-' indicator":
		return "look at the indentation"
	}
	return ""
}

// splitSyntax returns the line that the library names, which it leaves out for the first, and what it says.
func splitSyntax(err error) (line int, message string) {
	m := syntaxError.FindStringSubmatch(err.Error())
	if m == nil {
		return 1, err.Error()
	}
	if m[1] == "" {
		return 1, m[2]
	}
	line, err = strconv.Atoi(m[1])
	if err != nil {
		return 1, m[2]
	}
	return line, m[2]
}

// lineThatBreaks returns the first line that makes the file fail so. For errors of its parser, unlike those of its scanner,
// the library names a line near the beginning of the block that the mistake is in.
func lineThatBreaks(data []byte, lines [][]byte, message string) int {
	end := 0
	ends := make([]int, len(lines))
	for i := range lines {
		end += len(lines[i])
		ends[i] = end
	}
	return 1 + sort.Search(len(lines)-1, func(i int) bool {
		_, _, err := decode(data[:ends[i]])
		if err == nil {
			return false
		}
		_, m := splitSyntax(err)
		return m == message
	})
}
