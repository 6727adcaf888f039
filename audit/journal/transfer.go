package journal

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/gracegate/gracegate/audit"
)

// exportHead is the first line of an export in JSON lines.
type exportHead struct {
	Export     string `json:"gracegate_export"` // the version of the form
	Key        string `json:"key"`              // as in key.pub
	Checkpoint string `json:"checkpoint"`       // a signed note
}

// exportLine is any other: a record, byte for byte as it was written, and the proof that it is in the tree of the checkpoint, from
// the leaf to the root.
type exportLine struct {
	Sequence uint64          `json:"sequence"`
	Proof    []string        `json:"proof"`
	Record   json.RawMessage `json:"record"`
}

const exportVersion = "1"

// WriteJSONL writes an export as JSON lines.
func WriteJSONL(to io.Writer, c *Checkpoint, key string, list Records) (written int, err error) {
	out := bufio.NewWriter(to)
	put := func(v any) error {
		line, err := exportText(v)
		if err != nil {
			return err
		}
		_, err = out.Write(line)
		return err
	}
	if err := put(exportHead{exportVersion, key, string(c.Note)}); err != nil {
		return 0, err
	}
	for p, err := range list {
		if err != nil {
			return written, err
		}
		if err := put(exportLine{p.Sequence, proofWords(p.Proof), p.Text}); err != nil {
			return written, err
		}
		written++
	}
	return written, out.Flush()
}

// exportText is a line of an export with its line feed.
func exportText(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // a record stays as it is, to the byte
	err := enc.Encode(v)
	return b.Bytes(), err
}

// isWritten tells whether a line is, to the byte, as v is written. JSON that reads as v could still show another program something
// else: by a second member of a name, or one whose name differs in case.
func isWritten(line []byte, v any) bool {
	text, err := exportText(v)
	return err == nil && bytes.Equal(bytes.TrimSuffix(text, []byte("\n")), line)
}

func proofWords(proof tlog.RecordProof) []string {
	words := make([]string, len(proof))
	for i, h := range proof {
		words[i] = h.String()
	}
	return words
}

// column is one of an export as a table.
type column struct{ name, member string }

// columns are what people look at first; the record is beside them whole.
var columns = []column{
	{"time", "@timestamp"},
	{"policy_time", "gracegate.policy_time"},
	{"event", "event.action"},
	{"client", "client.ip"},
	{"user", "user.name"},
	{"mac", "source.mac"},
	{"hostname", "source.domain"},
	{"site", "gracegate.site"},
	{"host", "destination.address"},
	{"port", "destination.port"},
	{"url", "url.full"},
	{"vendor", "gracegate.vendor"},
	{"channels", "gracegate.channels"},
	{"verdict", "gracegate.verdict"},
	{"state", "gracegate.state"},
	{"rule_category", "rule.category"},
	{"rule_id", "rule.id"},
	{"status", "http.response.status_code"},
	{"bytes_in", "source.bytes"},
	{"bytes_out", "destination.bytes"},
	{"ended", "gracegate.ended"},
	{"revision", "gracegate.revision"},
}

// tableHead names all columns. The first row alone has the key and the checkpoint.
func tableHead() []string {
	head := []string{"sequence"}
	for _, c := range columns {
		head = append(head, c.name)
	}
	return append(head, "record", "proof", "key", "checkpoint")
}

// WriteCSV writes an export as a table (RFC 4180). A cell that a spreadsheet would take for a formula begins with an apostrophe;
// that of the whole record is as it was written, to the byte.
func WriteCSV(to io.Writer, c *Checkpoint, key string, list Records) (written int, err error) {
	out := csv.NewWriter(to)
	out.UseCRLF = true
	if err := out.Write(tableHead()); err != nil {
		return 0, err
	}
	for p, err := range list {
		if err != nil {
			return written, err
		}
		cells, err := cells(p.Text)
		if err != nil {
			return written, fmt.Errorf("record %d: %w", p.Sequence, err)
		}
		row := append([]string{strconv.FormatUint(p.Sequence, 10)}, cells...)
		row = append(row, string(p.Text), strings.Join(proofWords(p.Proof), " "))
		if written == 0 {
			row = append(row, key, string(c.Note))
		} else {
			row = append(row, "", "")
		}
		if err := out.Write(row); err != nil {
			return written, err
		}
		written++
	}
	out.Flush()
	return written, out.Error()
}

// cells are what the columns show of a record.
func cells(record []byte) ([]string, error) {
	var members map[string]any
	decoder := json.NewDecoder(bytes.NewReader(record))
	decoder.UseNumber()
	if err := decoder.Decode(&members); err != nil {
		return nil, err
	}
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = cell(members[c.member])
	}
	return list, nil
}

// cell is a value as a harmless text.
func cell(v any) string {
	var s string
	switch v := v.(type) {
	case nil:
		return ""
	case []any:
		words := make([]string, len(v))
		for i := range v {
			words[i] = fmt.Sprint(v[i])
		}
		s = strings.Join(words, " ")
	default:
		s = fmt.Sprint(v)
	}
	return audit.Cell(s)
}

// NotExportError tells that something is no export.
type NotExportError struct {
	Line int
	Err  error
}

func (e *NotExportError) Error() string {
	return fmt.Sprintf("line %d: this is no export of records: %v", e.Line, e.Err)
}

func (e *NotExportError) Unwrap() error { return e.Err }

// VerifyExport proves that the records of an export, as JSON lines or as a table, are as they were written, and that none is missing
// between the first and the last. Without a key it verifies by that of the export, which proves only that it fits together.
// Besides its own checkpoint the export may be held against others, of which those of another size are not compared. The error tells why nothing could
// be proven at all.
func VerifyExport(from io.Reader, key string, against ...*Checkpoint) (Proof, error) {
	in := bufio.NewReader(from)
	first, err := in.Peek(1)
	if err != nil {
		return Proof{}, &NotExportError{1, errors.New("it is empty")}
	}
	read := readJSONL
	if first[0] != '{' {
		read = readCSV
	}
	v := &exportProof{key: key, against: against}
	err = read(in, v)
	if v.c == nil && err == nil {
		err = &NotExportError{1, errors.New("it has no checkpoint")}
	}
	return v.Proof, err
}

// exportProof proves one record after the other.
type exportProof struct {
	Proof
	key     string
	against []*Checkpoint
	c       *Checkpoint
	begun   bool
}

// head takes the key and the checkpoint.
func (v *exportProof) head(line int, key, signed string) error {
	if v.key == "" {
		v.key = key
	}
	v.Key = strings.TrimSpace(v.key)
	c, err := ParseCheckpoint([]byte(signed), v.key)
	if err != nil {
		v.Fault = &Fault{Kind: "checkpoint", Line: line, Detail: err.Error()}
		v.c = &Checkpoint{}
		return errStop
	}
	for _, other := range v.against {
		switch {
		case other.Size != c.Size:
			v.NotCompared = fmt.Sprintf("it is for %d records, and that of the export for %d", other.Size, c.Size)
		case other.Root != c.Root:
			v.Fault = &Fault{Kind: "checkpoint", Line: line, Detail: fmt.Sprintf("the checkpoint is not the one that was kept for %d records: there are two histories", c.Size)}
		}
	}
	v.c, v.Last, v.Checkpoints = c, c, 1
	return nil
}

// errStop ends the reading at the first fault.
var errStop = errors.New("a fault was found")

func (v *exportProof) record(line int, p *Proven) error {
	fault := func(kind, detail string, record uint64) error {
		v.Fault = &Fault{Kind: kind, Record: record, Detail: detail, Line: line}
		return errStop
	}
	switch {
	case !v.begun:
		v.begun, v.First = true, p.Sequence
	case p.Sequence < v.Next:
		return fault("reordered", fmt.Sprintf("record %d stands behind record %d", p.Sequence, v.Next-1), p.Sequence)
	case p.Sequence > v.Next:
		return fault("missing", fmt.Sprintf("record %d is missing", v.Next), v.Next)
	}
	if p.Sequence >= v.c.Size {
		return fault("inserted", fmt.Sprintf("record %d is none of the %d that were signed", p.Sequence, v.c.Size), p.Sequence)
	}
	if err := p.check(v.c); err != nil {
		return fault("altered", err.Error(), p.Sequence)
	}
	v.Next = p.Sequence + 1
	return nil
}

// maxExportLine bounds a line: a record, and a proof of 62 hashes.
const maxExportLine = longestLine + 8<<10

func readJSONL(in *bufio.Reader, v *exportProof) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxExportLine)
	for n := 1; lines.Scan(); n++ {
		var err error
		if n == 1 {
			err = v.jsonHead(lines.Bytes())
		} else {
			err = v.jsonRecord(n, lines.Bytes())
		}
		if errors.Is(err, errStop) {
			return nil
		}
		if err != nil {
			return &NotExportError{n, err}
		}
	}
	return lines.Err()
}

func (v *exportProof) jsonHead(line []byte) error {
	var head exportHead
	if err := json.Unmarshal(line, &head); err != nil {
		return err
	}
	if head.Export != exportVersion {
		return fmt.Errorf("its form is %q, not %q", head.Export, exportVersion)
	}
	if !isWritten(line, head) {
		return errors.New("it has more than a key and a checkpoint")
	}
	return v.head(1, head.Key, head.Checkpoint)
}

func (v *exportProof) jsonRecord(n int, line []byte) error {
	var l exportLine
	if err := json.Unmarshal(line, &l); err != nil {
		return err
	}
	proof, err := parseProof(l.Proof)
	if err != nil {
		return err
	}
	if err := v.record(n, &Proven{Line{l.Sequence, l.Record}, proof}); err != nil {
		return err
	}
	if !isWritten(line, l) {
		v.Fault = &Fault{Kind: "altered", Record: l.Sequence, Line: n, Detail: fmt.Sprintf("the line of record %d has more than the record and its proof", l.Sequence)}
		return errStop
	}
	return nil
}

func parseProof(words []string) (tlog.RecordProof, error) {
	proof := make(tlog.RecordProof, len(words))
	for i, w := range words {
		var err error
		if proof[i], err = tlog.ParseHash(w); err != nil {
			return nil, fmt.Errorf("%.50q is no hash", w)
		}
	}
	return proof, nil
}

func readCSV(in *bufio.Reader, v *exportProof) error {
	rows := csv.NewReader(in)
	rows.ReuseRecord = true
	head, err := rows.Read()
	if err != nil {
		return &NotExportError{1, err}
	}
	if !slices.Equal(head, tableHead()) {
		return &NotExportError{1, errors.New("it has other columns")}
	}
	for {
		row, err := rows.Read()
		line, _ := rows.FieldPos(0)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return &NotExportError{line, err}
		}
		err = v.row(line, row[0], row[1:1+len(columns)], row[1+len(columns):])
		if errors.Is(err, errStop) {
			return nil
		}
		if err != nil {
			return &NotExportError{line, err}
		}
	}
}

func (v *exportProof) row(line int, number string, shown, rest []string) error {
	if v.c == nil {
		if err := v.head(line, rest[2], rest[3]); err != nil {
			return err
		}
	}
	sequence, err := strconv.ParseUint(number, 10, 62)
	if err != nil {
		return err
	}
	proof, err := parseProof(strings.Fields(rest[1]))
	if err != nil {
		return err
	}
	if err := v.record(line, &Proven{Line{sequence, []byte(rest[0])}, proof}); err != nil {
		return err
	}
	told, err := cells([]byte(rest[0]))
	if err != nil || !slices.Equal(told, shown) || number != strconv.FormatUint(sequence, 10) {
		v.Fault = &Fault{Kind: "altered", Record: sequence, Line: line, Detail: fmt.Sprintf("the columns of record %d do not show what it says", sequence)}
		return errStop
	}
	return nil
}
