package journal

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
)

// exported is a journal of 40 records as an export in both forms.
func exported(t *testing.T) (jsonl, table string, key string) {
	t.Helper()
	dir := tempDir(t)
	j := open(t, dir, Options{SegmentSize: 4000})
	write(t, j, 7, 30, 2)
	if _, err := j.Write([]*audit.Record{{Event: audit.End, Time: time.Now(), User: "=cmd|' /C calc'!A0", Site: "a,\"b\"\r\n<b>"}}); err != nil {
		t.Fatal(err)
	}
	if err := j.Sign(); err != nil {
		t.Fatal(err)
	}
	var out [2]bytes.Buffer
	for i, put := range []func() (int, error){
		func() (int, error) {
			c, key, list, _, err := Export(dir, Range{})
			if err != nil {
				return 0, err
			}
			return WriteJSONL(&out[0], c, key, list)
		},
		func() (int, error) {
			c, key, list, _, err := Export(dir, Range{})
			if err != nil {
				return 0, err
			}
			return WriteCSV(&out[1], c, key, list)
		},
	} {
		if n, err := put(); n != 40 || err != nil {
			t.Fatalf("form %d: %d records, %v", i, n, err)
		}
	}
	key, err := PublicKey(dir)
	if err != nil {
		t.Fatal(err)
	}
	return out[0].String(), out[1].String(), key
}

func TestExportsAreProvenElsewhere(t *testing.T) {
	t.Parallel()
	jsonl, table, key := exported(t)
	_, _, other := exported(t)
	for form, text := range map[string]string{"jsonl": jsonl, "csv": table} {
		p, err := VerifyExport(strings.NewReader(text), key)
		if err != nil || p.Fault != nil || p.First != 0 || p.Next != 40 {
			t.Errorf("%s: %+v %v %v", form, p, p.Fault, err)
		}
		for what, c := range map[string]struct {
			change func(lines []string) []string
			kind   string
			record uint64
		}{
			"altered":   {func(l []string) []string { l[5] = strings.Replace(l[5], "user-", "usar-", 1); return l }, "altered", 4},
			"deleted":   {func(l []string) []string { return append(l[:5], l[6:]...) }, "missing", 4},
			"reordered": {func(l []string) []string { l[5], l[6] = l[6], l[5]; return l }, "missing", 4},
			"twice":     {func(l []string) []string { l[6] = l[5]; return l }, "reordered", 4},
		} {
			// The first row of a table has the checkpoint, which stands on several lines.
			head, rest := splitRows(text)
			lines := c.change(append(head, rest...))
			p, err := VerifyExport(strings.NewReader(strings.Join(lines, "")), key)
			if err != nil || p.Fault == nil || p.Fault.Kind != c.kind || p.Fault.Record != c.record {
				t.Errorf("%s, %s: %+v %v", form, what, p.Fault, err)
			}
		}
		if p, err := VerifyExport(strings.NewReader(text), other); err != nil || p.Fault == nil || p.Fault.Kind != "checkpoint" {
			t.Errorf("%s by another key: %+v %v", form, p.Fault, err)
		}
	}
}

// What reads as the record that was signed, and shows another program another one, is not proven.
func TestExportHasNothingBesideTheRecords(t *testing.T) {
	t.Parallel()
	jsonl, table, key := exported(t)
	for name, tt := range map[string]struct{ text, old, new string }{
		"a record of another case": {jsonl, `"record":{`, `"record":{"client.ip":"10.9.9.9"},"Record":{`},
		"a record before it":       {jsonl, `"record":{`, `"record":{"client.ip":"10.9.9.9"},"record":{`},
		"another member":           {jsonl, `"record":{`, `"note":"trust me","record":{`},
		"blanks":                   {jsonl, `"record":{`, `"record": {`},
		"another number":           {table, "\n3,", "\n003,"},
	} {
		text := strings.Replace(tt.text, tt.old, tt.new, 1)
		if text == tt.text {
			t.Fatalf("%s: nothing was changed", name)
		}
		if p, err := VerifyExport(strings.NewReader(text), key); err != nil || p.Fault == nil || p.Fault.Kind != "altered" {
			t.Errorf("%s: %+v %v", name, p.Fault, err)
		}
	}
	text := strings.Replace(jsonl, `"key":`, `"note":"trust me","key":`, 1)
	if _, err := VerifyExport(strings.NewReader(text), key); err == nil {
		t.Error("a head with another member is one")
	}
}

// splitRows returns the lines of an export such that the first of a table's records counts as one.
func splitRows(text string) (head, rest []string) {
	lines := strings.SplitAfter(text, "\n")
	if strings.HasPrefix(text, "{") {
		return nil, lines
	}
	for i, l := range lines {
		if strings.HasPrefix(l, "1,") {
			return []string{lines[0], strings.Join(lines[1:i], "")}, lines[i:]
		}
	}
	return nil, lines
}

// What a client calls itself is a text in a spreadsheet, and nothing else.
func TestTableHasNoFormulas(t *testing.T) {
	t.Parallel()
	_, table, _ := exported(t)
	rows, err := csv.NewReader(strings.NewReader(table)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		for i, c := range row {
			if c != "" && strings.ContainsRune("=+-@", rune(c[0])) && i < len(row)-3 {
				t.Errorf("the cell %q", c)
			}
		}
	}
	if last := rows[len(rows)-1]; last[5] != "'=cmd|' /C calc'!A0" {
		t.Errorf("%q", last[5])
	}
}

func FuzzVerifyExport(f *testing.F) {
	f.Add([]byte("{\"gracegate_export\":\"1\",\"key\":\"a+00000000+AAAA\",\"checkpoint\":\"a\\n1\\n\"}\n{}\n"))
	f.Add([]byte(strings.Join(tableHead(), ",") + "\r\n0,,\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := VerifyExport(bytes.NewReader(data), "")
		if err == nil && p.Fault == nil && p.Next > 0 {
			t.Errorf("%q proves %+v", data, p)
		}
	})
}
