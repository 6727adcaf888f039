package audit

import (
	"encoding/json"
	"math"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// ecsFields reads the list of names and types; an array is marked by a leading "[]".
func ecsFields(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/ecs-fields.tsv")
	if err != nil {
		t.Fatal(err)
	}
	fields := make(map[string]string)
	for l := range strings.Lines(string(text)) {
		if strings.HasPrefix(l, "#") {
			continue
		}
		columns := strings.Split(strings.TrimSpace(l), "\t")
		fields[columns[0]] = columns[1]
		if len(columns) > 2 {
			fields[columns[0]] = "[]" + columns[1]
		}
	}
	return fields
}

// Values that the schema allows where it lists them.
var ecsAllowed = map[string][]string{
	"event.kind":     {"alert", "asset", "enrichment", "event", "metric", "state", "pipeline_error", "signal"},
	"event.category": {"configuration", "network", "web"},
	"event.type":     {"allowed", "change", "connection", "denied", "end", "start"},
	"event.outcome":  {"failure", "success", "unknown"},
}

// Every member of a line is a field of the schema, with a value of its type, or ours.
func TestECS(t *testing.T) {
	t.Parallel()
	fields, used := ecsFields(t), map[string]bool{}
	lines, err := os.ReadFile("testdata/lines.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(lines)) {
		var record map[string]any
		if err := json.Unmarshal([]byte(l), &record); err != nil {
			t.Fatal(err)
		}
		for name, value := range record {
			kind, known := fields[name]
			used[name] = true
			switch {
			case strings.HasPrefix(name, "gracegate."):
			case !known:
				t.Errorf("%s is no field of the schema", name)
			case !isOfType(value, kind):
				t.Errorf("%s is %v, want %s", name, value, kind)
			}
			if allowed, listed := ecsAllowed[name]; listed {
				for _, v := range listOf(value) {
					if !slices.Contains(allowed, v) {
						t.Errorf("%s is %q, want one of %q", name, v, allowed)
					}
				}
			}
		}
	}
	for name := range fields {
		if !used[name] {
			t.Errorf("%s is in the list, and in no golden line", name)
		}
	}
}

func isOfType(value any, kind string) bool {
	if of, array := strings.CutPrefix(kind, "[]"); array {
		list, is := value.([]any)
		return is && !slices.ContainsFunc(list, func(v any) bool { return !isOfType(v, of) })
	}
	text, isText := value.(string)
	switch kind {
	case "keyword", "wildcard", "match_only_text":
		return isText
	case "ip":
		a, err := netip.ParseAddr(text)
		return err == nil && a.Zone() == "" // Elasticsearch takes none
	case "date":
		_, err := time.Parse(time.RFC3339Nano, text)
		return err == nil
	case "long":
		n, is := value.(float64)
		return is && n == math.Trunc(n)
	}
	return false
}

func listOf(value any) (all []string) {
	if text, is := value.(string); is {
		return []string{text}
	}
	for _, v := range value.([]any) {
		all = append(all, v.(string))
	}
	return all
}
