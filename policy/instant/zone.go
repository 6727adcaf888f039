package instant

import (
	"archive/zip"
	"bytes"
	_ "embed"
	"io"
	"strings"
	"sync"
	"time"
)

// ZoneVersion is the release of the IANA time zone database in the binary.
const ZoneVersion = "2025c"

// The database itself, in the public domain, as the Go distribution carries it in lib/time; time/tzdata has the same
// data. It is embedded here because time.LoadLocation prefers the machine's own files, and then one and the same
// policy could mean different instants on two machines.
//
//go:embed zoneinfo.zip
var zoneinfo []byte

var zoneFiles = sync.OnceValue(func() map[string]*zip.File {
	archive, err := zip.NewReader(bytes.NewReader(zoneinfo), int64(len(zoneinfo)))
	if err != nil {
		panic("instant: the embedded zone database: " + err.Error())
	}
	files := make(map[string]*zip.File, len(archive.File))
	for _, f := range archive.File {
		files[f.Name] = f
	}
	return files
})

// LoadZone returns a zone of the IANA database in the binary by its name, "Area/City" in the database's own spelling,
// or "UTC". Names without an area are refused: EST, CET and their like are abbreviations that fit several laws.
// So is "Etc/...", except "Etc/UTC": Etc/GMT+5 is five hours behind UTC, not ahead. The error is an [*Error].
func LoadZone(name string) (*time.Location, error) {
	if name == "UTC" || name == "Etc/UTC" {
		return time.UTC, nil
	}
	refuse := func(reason, hint string) (*time.Location, error) {
		return nil, &Error{Kind: "zone", Input: name, Reason: reason, Hint: hint}
	}
	const example = "write an IANA name such as America/New_York, or UTC"
	area, _, found := strings.Cut(name, "/")
	switch {
	case name == "":
		return refuse("empty", example)
	case name == "Local":
		return refuse("means another zone on each machine", example)
	case !found:
		return refuse("an abbreviation or a country, not an IANA name with an area", example)
	case area == "Etc":
		return refuse("its sign is the reverse of an offset's", "write the offset in the instant, or UTC")
	}
	file, known := zoneFiles()[name]
	if !known || strings.HasSuffix(name, "/") {
		return refuse("not in the IANA database "+ZoneVersion, spelled(name, example))
	}
	zone, err := load(name, file)
	if err != nil {
		return refuse("unreadable in the binary: "+err.Error(), example)
	}
	return zone, nil
}

func load(name string, file *zip.File) (*time.Location, error) {
	r, err := file.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return time.LoadLocationFromTZData(name, data)
}

// spelled returns a hint with the name as the database spells it, if it differs in case or blanks alone.
func spelled(name, otherwise string) (hint string) {
	wanted := strings.ReplaceAll(name, " ", "_")
	for known := range zoneFiles() {
		if strings.EqualFold(known, wanted) && !strings.HasSuffix(known, "/") {
			return "write " + known
		}
	}
	return otherwise
}
