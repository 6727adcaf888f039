package host

import "testing"

func TestParseMAC(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"00:16:3e:aa:bb:cc":       "00:16:3e:aa:bb:cc",
		"00-16-3E-AA-BB-CC":       "00:16:3e:aa:bb:cc",
		"0016.3eaa.bbcc":          "00:16:3e:aa:bb:cc",
		"":                        "",
		"00163eaabbcc":            "00:16:3e:aa:bb:cc",
		"0:16:3e:aa:bb:cc":        "",
		"00:16:3e:aa:bb":          "",
		"00:16:3e:aa:bb:cc:dd:ee": "", // EUI-64
		"mac:00:16:3e:aa:bb:cc":   "",
		" 00:16:3e:aa:bb:cc":      "",
		"00:16:3e:aa:bb:cg":       "",
	} {
		got, err := ParseMAC(text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("ParseMAC(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
}
