package source

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/host"
)

// maxBadLines bounds what is told of one list.
const maxBadLines = 20

// list reads the names of an endpoint from the file that n names.
func (v *vendorReader) list(e *policy.Endpoint) reading {
	return func(n *yaml.Node) {
		name, ok := v.scalar(n, "a list")
		switch {
		case !ok:
			return
		case v.open == nil:
			v.wrong(n, "write it into a vendor file of the catalogue", "a list of names cannot stand here")
			return
		case !fs.ValidPath(name) || name == "." || strings.Contains(name, `\`):
			v.wrong(n, "name a file beside this one, or below", "list %s is outside the directory of this file", quote(name))
			return
		}
		data, err := v.open(name)
		if err != nil {
			if e, ok := errors.AsType[*fs.PathError](err); ok {
				err = e.Err
			}
			v.wrong(n, "", "list %s: %s", quote(name), err)
			return
		}
		e.FromList = path.Join(path.Dir(v.file), name)
		v.lines(string(data), e)
	}
}

// lines reads a list: one name a line; with a dot in front, that name and all below it. What follows "#" is a comment. The
// names are parts of text, and keep all of it in memory.
func (v *vendorReader) lines(text string, e *policy.Endpoint) {
	e.Hosts = make([]host.Name, 0, strings.Count(text, "\n")+1)
	bad, untold := 0, policy.Pos{}
	text = strings.TrimPrefix(text, "\ufeff") // some editors begin every file so
	for number := 1; text != ""; number++ {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		if comment := strings.IndexByte(line, '#'); comment >= 0 {
			line = line[:comment]
		}
		entry := strings.Trim(line, " \t\r")
		if entry == "" {
			continue
		}
		name, isZone, reason := v.line(entry)
		switch {
		case reason == "" && isZone:
			e.Zones = append(e.Zones, name)
		case reason == "":
			e.Hosts = append(e.Hosts, name)
		default:
			column := len([]rune(line[:strings.Index(line, entry)])) + 1
			switch bad++; {
			case bad <= maxBadLines:
				v.add(policy.Pos{File: e.FromList, Line: number, Column: column}, "write one name a line", "not a name, %s: %s", quote(entry), reason)
			case bad == maxBadLines+1:
				untold = policy.Pos{File: e.FromList, Line: number, Column: column}
			}
		}
	}
	if bad > maxBadLines {
		v.add(untold, "", "%d more lines cannot be read, from here on", bad-maxBadLines)
	}
}

func (v *vendorReader) line(entry string) (name host.Name, isZone bool, reason string) {
	if below, ok := strings.CutPrefix(entry, "."); ok {
		name, reason = parseName(below)
		isZone = true
	} else {
		name, reason = parseName(entry)
	}
	if reason == "" && name.IsAddr() {
		reason = noAddresses
	}
	return name, isZone, reason
}
