package report

import (
	"fmt"
	"io"
	"iter"
	"net/netip"
	"testing"
	"time"

	"github.com/gracegate/gracegate/audit"
	"github.com/gracegate/gracegate/policy"
)

// manyRows gives n rows, as ten million records could be summed up to: a thousand devices, thirty days, all hours.
func manyRows(p *policy.Policy, n int) iter.Seq2[audit.Seen, error] {
	const devices = 1000
	var kinds []policy.Facts
	for i := range 20 {
		kinds = append(kinds, tunnelTo(fmt.Sprintf("s%02d.upd.acme.example", i)))
	}
	kinds = append(kinds, tunnelTo("cloud.acme.example"), tunnelTo("d1.upd.bear.example"), tunnelTo("tele.bear.example"), plainTo("dl1.upd.acme.example", "/index/u1.xml"))
	return func(yield func(audit.Seen, error) bool) {
		for i := range n {
			hour := monthSince.Add(time.Duration(i*720/n) * time.Hour)
			f := kinds[i%len(kinds)]
			f.Client = netip.AddrFrom4([4]byte{10, 10, byte(i % devices / 250), byte(i % devices % 250)})
			if i%devices%4 == 0 {
				f.MAC = macs[i%devices/4]
			}
			d := p.Decide(hour, &f)
			c := d.Cause()
			vendor, channels := d.Endpoint()
			at := hour.Add(time.Duration(i%3600) * time.Second)
			s := audit.Seen{
				SeenKey: audit.SeenKey{
					Hour: hour, Client: f.Client, MAC: f.MAC, Site: "boston", Kind: "tunnel", Method: f.Method, Scheme: f.Scheme, Host: f.Authority, Port: f.Port,
					Path: f.Path, SNI: f.SNI, Hello: f.Hello, Vendor: vendor, Channels: policy.Channels(channels...), Verdict: d.Verdict, State: d.State, Category: c.Kind, ID: c.ID,
				},
				First: at, Last: at, Flows: 10, BytesIn: 5000, BytesOut: 1 << 20,
			}
			if !yield(s, nil) {
				return
			}
		}
	}
}

var macs = func() (list [250]string) {
	for i := range list {
		list[i] = fmt.Sprintf("00:16:3e:00:00:%02x", i)
	}
	return list
}()

// BenchmarkMillion is a million rows of the record, read and told as a page.
func BenchmarkMillion(b *testing.B) {
	p := testPolicy(b)
	b.ReportAllocs()
	for b.Loop() {
		r, err := Build(p, monthOptions(), manyRows(p, 1e6))
		if err != nil {
			b.Fatal(err)
		}
		if err := r.WriteHTML(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRows is what making those rows alone takes.
func BenchmarkRows(b *testing.B) {
	p := testPolicy(b)
	for b.Loop() {
		for _, err := range manyRows(p, 1e6) {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}
