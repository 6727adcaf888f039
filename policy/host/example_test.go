package host_test

import (
	"errors"
	"fmt"

	"github.com/gracegate/gracegate/policy/host"
)

func ExampleParse() {
	for _, s := range []string{"Dnl-01.GEO.kaspersky.com.", "bücher.example", "[2001:DB8::0:1]", "::ffff:192.0.2.1", "2130706433"} {
		n, err := host.Parse(s)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(n, n.IsAddr())
	}
	// Output:
	// dnl-01.geo.kaspersky.com false
	// xn--bcher-kva.example false
	// 2001:db8::1 true
	// 192.0.2.1 true
	// host "2130706433": ends in a number but is not an IPv4 address of four plain decimals
}

func ExampleParseAuthority() {
	n, port, _ := host.ParseAuthority("[::1]:8443")
	fmt.Println(n, port, host.Join(n, port))

	_, _, err := host.ParseAuthority("example.com:65616")
	if e, ok := errors.AsType[*host.Error](err); ok {
		fmt.Println(e.Reason)
	}
	// Output:
	// ::1 8443 [::1]:8443
	// its port is larger than 65535
}

func ExampleName_Parent() {
	for n, ok := host.MustParse("s01.upd.kaspersky.com"), true; ok; n, ok = n.Parent() {
		fmt.Println(n)
	}
	// Output:
	// s01.upd.kaspersky.com
	// upd.kaspersky.com
	// kaspersky.com
	// com
}

func ExampleName_Within() {
	zone := host.MustParse("kaspersky.com")
	fmt.Println(host.MustParse("upd.kaspersky.com").Within(zone))
	fmt.Println(host.MustParse("notkaspersky.com").Within(zone))
	// Output:
	// true
	// false
}
