package instant_test

import (
	"errors"
	"fmt"

	"github.com/gracegate/gracegate/policy/instant"
)

func ExampleParse() {
	at, _ := instant.Parse("2024-09-29T00:00:00-04:00")
	fmt.Println(instant.Format(at))

	_, err := instant.Parse("2024-09-29 00:00 EDT")
	if e, ok := errors.AsType[*instant.Error](err); ok {
		fmt.Println("error:", e.Reason)
		fmt.Println("hint:", e.Hint)
	}
	// Output:
	// 2024-09-29T04:00:00Z
	// error: EDT is an abbreviation, not an offset
	// hint: write RFC 3339 with an offset, such as 2024-09-29T00:00:00-04:00, or a legal word with an IANA zone
}

func ExampleLegal() {
	newYork, _ := instant.LoadZone("America/New_York")
	until, _ := instant.Legal(instant.Until, "2024-09-29", newYork)
	through, _ := instant.Legal(instant.Through, "2024-09-29", newYork)
	fmt.Println(instant.Format(until), instant.FormatIn(until, newYork))
	fmt.Println(instant.Format(through), instant.FormatIn(through, newYork))

	_, err := instant.Legal(instant.Until, "2024-03-10T02:30", newYork)
	fmt.Println(err)
	// Output:
	// 2024-09-29T04:00:00Z 2024-09-29T00:00:00-04:00
	// 2024-09-30T04:00:00Z 2024-09-30T00:00:00-04:00
	// instant "2024-03-10T02:30": clocks in America/New_York skip this time; the next instant there is 2024-03-10T03:00:00-04:00
}

func ExampleParseIn() {
	newYork, _ := instant.LoadZone("America/New_York")
	for _, s := range []string{"2024-07-20", "2024-07-20T00:00:00Z"} {
		at, err := instant.ParseIn(s, newYork)
		fmt.Println(instant.Format(at), err)
	}
	// Output:
	// 2024-07-20T04:00:00Z <nil>
	// 2024-07-20T00:00:00Z <nil>
}

func ExampleLoadZone() {
	_, err := instant.LoadZone("EST")
	fmt.Println(err)
	// Output:
	// zone "EST": an abbreviation or a country, not an IANA name with an area; write an IANA name such as America/New_York, or UTC
}
