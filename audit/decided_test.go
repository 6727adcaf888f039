package audit

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy"
)

// TestKeptDecisions has an encoder write a record, and then one that differs from it in one field: it must not take it for the same.
func TestKeptDecisions(t *testing.T) {
	base := benchRecords()["passed"]
	e := NewEncoder()
	for _, changed := range append(variants(t, base), *base) {
		_ = e.Append(nil, base)
		got, want := string(e.Append(nil, &changed)), string(Encoder{}.Append(nil, &changed))
		if got != want {
			t.Errorf("the line is\n%swant\n%s", got, want)
		}
	}
}

// variants are records that differ from one in a field each, also in those of its cause.
func variants(t *testing.T, base *Record) (list []Record) {
	t.Helper()
	for i := range reflect.TypeFor[Record]().NumField() {
		changed := *base
		field := reflect.ValueOf(&changed).Elem().Field(i)
		if _, ok := reflect.TypeAssert[policy.Cause](field); ok {
			for k := range field.NumField() {
				changed := *base
				if alter(reflect.ValueOf(&changed.Cause).Elem().Field(k)) {
					list = append(list, changed)
				}
			}
			continue
		}
		if alter(field) {
			list = append(list, changed)
		}
	}
	if len(list) < 40 {
		t.Fatalf("only %d fields were altered", len(list))
	}
	return list
}

// alter gives a field another value; of a list the last item is another. Of some types there is nothing to be mixed up.
func alter(field reflect.Value) bool {
	switch v := field.Interface().(type) {
	case time.Time:
		field.Set(reflect.ValueOf(v.Add(time.Hour)))
		return true
	case []string:
		field.Set(reflect.ValueOf(append(append([]string{}, v...), "another")))
		return true
	case []policy.Channel:
		field.Set(reflect.ValueOf(append([]policy.Channel{}, v[0])))
		return true
	}
	switch field.Kind() {
	case reflect.String:
		field.SetString(field.String() + " another")
	case reflect.Bool:
		field.SetBool(!field.Bool())
	case reflect.Int, reflect.Int64:
		field.SetInt(field.Int() + 1)
	case reflect.Uint8, reflect.Uint16, reflect.Uint64:
		field.SetUint(field.Uint() ^ 1)
	default:
		return false
	}
	return true
}

// TestManyDecisions has more decisions come than are kept, in turns.
func TestManyDecisions(t *testing.T) {
	e := NewEncoder()
	r := *benchRecords()["refused"]
	for turn := range 3 {
		for i := range keptDecisions + 10 {
			r.Reasons = []string{fmt.Sprint("reason ", turn, i)}
			if got, want := string(e.Append(nil, &r)), string(Encoder{}.Append(nil, &r)); got != want {
				t.Fatalf("the line is\n%swant\n%s", got, want)
			}
		}
	}
	if n := e.decided.cache.Len(); n != keptDecisions {
		t.Errorf("%d decisions are kept", n)
	}
}
