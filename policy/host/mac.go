package host

import "net"

// ParseMAC reads the address of a device, an EUI-48 in any form that [net.ParseMAC] knows, and returns its one canonical form:
// lower case, with colons. Longer ones, of FireWire or InfiniBand, are none. The error is an [*Error].
func ParseMAC(s string) (string, error) {
	mac, err := net.ParseMAC(s)
	if err != nil || len(mac) != 6 {
		return "", &Error{Kind: "MAC address", Input: s, Reason: "not six bytes such as 00:16:3e:aa:bb:cc"}
	}
	return mac.String(), nil
}
