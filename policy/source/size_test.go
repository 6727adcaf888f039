package source_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/gracegate/gracegate/policy/source"
)

// Programs write scenario files, which may be longer than what people write.
func TestScenarioFilesMayBeLong(t *testing.T) {
	t.Parallel()
	const cases = "cases: [{at: 2024-09-29T00:00:00Z, host: a.example, expect: {verdict: allow}}]\n"
	long := func(size int) source.File {
		comment := append(bytes.Repeat([]byte("#"), size-len(cases)-1), '\n')
		return source.File{Name: "long.yaml", Data: append(comment, cases...)}
	}
	if list, problems := source.ReadScenarios(long(source.MaxSize + 1)); len(problems) > 0 || len(list.Cases) != 1 {
		t.Errorf("%d cases, %v", len(list.Cases), problems)
	}
	if _, problems := source.ReadScenarios(long(source.MaxScenarios + 1)); len(problems) != 1 || !strings.HasSuffix(problems[0].Message, "a file of scenarios has at most 67108864") {
		t.Errorf("%v", problems)
	}
	if _, problems := source.Operator(long(source.MaxSize + 1)); len(problems) != 1 || !strings.HasSuffix(problems[0].Message, "a file has at most 4194304") {
		t.Errorf("%v", problems)
	}
}
