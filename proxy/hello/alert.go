package hello

// AccessDenied is the alert for a hello that is refused by policy (RFC 8446, section 6.2).
const AccessDenied = 49

// Alert returns the record of a fatal TLS alert with the given description, as a server sends it in
// answer to a hello (RFC 8446, sections 5.1 and 6). Every version of TLS understands it.
func Alert(description byte) []byte {
	const (
		typeAlert = 21
		fatal     = 2
	)
	return []byte{typeAlert, 3, 3, 0, 2, fatal, description}
}
