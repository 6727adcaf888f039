package certs

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"text/template"
)

// The formats of [Export].
const (
	PEM          = "pem"
	DER          = "der"
	MobileConfig = "mobileconfig"
)

// Export writes a root in a format in which a system takes it: pem, der, or mobileconfig, which is Apple's configuration profile.
// The same root gives the same bytes.
func Export(root *x509.Certificate, format string) ([]byte, error) {
	switch format {
	case PEM:
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Raw}), nil
	case DER:
		return bytes.Clone(root.Raw), nil
	case MobileConfig:
		return mobileConfig(root)
	}
	return nil, fmt.Errorf("format %q: want %s, %s or %s", format, PEM, DER, MobileConfig)
}

// profile is a configuration profile with one payload, com.apple.security.root (Apple, Device Management, CertificateRoot).
var profile = template.Must(template.New("profile").Parse(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>PayloadContent</key>
	<array>
		<dict>
			<key>PayloadCertificateFileName</key>
			<string>gracegate-root.cer</string>
			<key>PayloadContent</key>
			<data>{{.Certificate}}</data>
			<key>PayloadDescription</key>
			<string>Lets this network's gateway show which update it refuses, and why.</string>
			<key>PayloadDisplayName</key>
			<string>{{.Name}}</string>
			<key>PayloadIdentifier</key>
			<string>org.gracegate.root.{{.ID}}</string>
			<key>PayloadType</key>
			<string>com.apple.security.root</string>
			<key>PayloadUUID</key>
			<string>{{.Payload}}</string>
			<key>PayloadVersion</key>
			<integer>1</integer>
		</dict>
	</array>
	<key>PayloadDescription</key>
	<string>Trust in the root certificate of this network's gateway.</string>
	<key>PayloadDisplayName</key>
	<string>{{.Name}}</string>
	<key>PayloadIdentifier</key>
	<string>org.gracegate.profile.{{.ID}}</string>
	<key>PayloadType</key>
	<string>Configuration</string>
	<key>PayloadUUID</key>
	<string>{{.Profile}}</string>
	<key>PayloadVersion</key>
	<integer>1</integer>
</dict>
</plist>
`))

func mobileConfig(root *x509.Certificate) ([]byte, error) {
	digest := sha256.Sum256(root.Raw)
	var name, out bytes.Buffer
	if err := xml.EscapeText(&name, []byte(root.Subject.CommonName)); err != nil {
		return nil, fmt.Errorf("certs: profile: %w", err)
	}
	err := profile.Execute(&out, map[string]string{
		"Certificate": base64.StdEncoding.EncodeToString(root.Raw), "Name": name.String(), "ID": fmt.Sprintf("%x", digest[:6]),
		"Payload": uuid(digest[:16]), "Profile": uuid(digest[16:]),
	})
	if err != nil {
		return nil, fmt.Errorf("certs: profile: %w", err)
	}
	return out.Bytes(), nil
}

// uuid makes a UUID of version 8 (RFC 9562, section 5.8) of 16 bytes.
func uuid(b []byte) string {
	u := [16]byte(b)
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return fmt.Sprintf("%X-%X-%X-%X-%X", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}
