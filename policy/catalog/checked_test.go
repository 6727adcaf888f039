package catalog_test

import (
	"testing"
	"time"

	"github.com/gracegate/gracegate/policy"
	"github.com/gracegate/gracegate/policy/catalog"
)

// The newest day by the text of the files is that by what is read from them.
func TestChecked(t *testing.T) {
	t.Parallel()
	got, err := catalog.Checked()
	if err != nil {
		t.Fatal(err)
	}
	newest := ""
	see := func(sources ...policy.Source) {
		for _, s := range sources {
			newest = max(newest, s.Checked)
		}
	}
	c := load(t, "", false)
	for _, v := range c.Vendors {
		for _, e := range v.Endpoints {
			see(e.Sources...)
		}
	}
	for _, r := range c.Restrictions {
		for _, rev := range r.Revisions {
			see(rev.Source)
		}
		for _, s := range r.Stays {
			see(s.Source)
		}
		for _, l := range r.Licences {
			see(l.Source)
		}
	}
	if got.Format(time.DateOnly) != newest {
		t.Errorf("checked on %s, want %s", got, newest)
	}
}
