package catalog

import (
	"fmt"
	"io/fs"
	"regexp"
	"time"
)

var checkedDay = regexp.MustCompile(`\bchecked: (\d{4}-\d\d-\d\d)\b`)

// Checked is the newest day on which somebody looked at a source of the catalogue in the binary, as its first instant in UTC. So the
// binary is not older than that, but for the hours that its zone may be ahead of UTC.
func Checked() (newest time.Time, err error) {
	err = fs.WalkDir(data, "data", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := data.ReadFile(name)
		if err != nil {
			return err
		}
		for _, found := range checkedDay.FindAllSubmatch(text, -1) {
			day, err := time.Parse(time.DateOnly, string(found[1]))
			if err != nil {
				return fmt.Errorf("%s: checked: %w", name, err)
			}
			if day.After(newest) {
				newest = day
			}
		}
		return nil
	})
	return newest, err
}
