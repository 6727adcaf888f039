// Package bundle reads, makes and verifies signed bundles: one file that holds the operator's policy, and with it a catalogue, waivers
// and limits on other waivers, under a signature of minisign.
//
// # The file
//
// A bundle is the four lines of a minisign signature, and behind them what they sign: a ZIP archive whose members are stored
// uncompressed. So it is one file, which cannot be mixed from two, and nothing in it is parsed before its signature is known to be
// good. minisign verifies it once the first four lines are in a file of their own.
//
// The archive begins with manifest.json, a [Manifest] that names every other member with its size and SHA-256; these follow in the
// order of their names: policy.yaml, waivers.yaml, and files below catalog/. The same members and manifest make the same bytes.
//
// # What is refused
//
// [Read] refuses what is not signed by one of the keys, and whatever is not exactly as the manifest says; [Bundle.Fresh] what is
// expired or not yet valid, and [Bundle.After] what is older than a bundle that was in force, or of the same version with other
// contents. All of that are errors of type [*RefusedError].
//
// The package reads no clock, opens no file, and asks no network. It does not look into the policy: whether that makes sense is
// found out where it is compiled.
package bundle

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"unicode"
)

// The members of a bundle. Only waivers and catalogue may be absent.
const (
	ManifestName = "manifest.json"
	PolicyName   = "policy.yaml"
	WaiversName  = "waivers.yaml"
	CatalogDir   = "catalog"
)

const (
	// MaxSize bounds a bundle, in bytes. A million names in lists fit into it.
	MaxSize = 64 << 20

	maxManifest = 4 << 20
	maxMembers  = 10_000
	maxName     = 255 // bytes of a member's name
)

// Bundle is one that was read and found good. It is read-only.
type Bundle struct {
	Manifest
	KeyID  string // of the key that signed it, as minisign shows it
	Digest string // SHA-256 of what is signed, in hexadecimal: another signature of the same leaves it as it is

	data    []byte
	members map[string][]byte
	archive *zip.Reader
}

// Bytes returns the file of the bundle, which must not be changed.
func (b *Bundle) Bytes() []byte { return b.data }

// Member returns the text of a member, and whether there is one of that name. The text must not be changed.
func (b *Bundle) Member(name string) (text []byte, ok bool) {
	text, ok = b.members[name]
	return text, ok
}

// Catalog returns the directory of the catalogue, and nil if the bundle has none.
func (b *Bundle) Catalog() fs.FS {
	if !slices.ContainsFunc(b.Members, func(m Member) bool { return strings.HasPrefix(m.Name, CatalogDir+"/") }) {
		return nil
	}
	sub, err := fs.Sub(b.archive, CatalogDir)
	if err != nil { // only for a name that is none
		return nil
	}
	return sub
}

// Make signs a bundle of these members, by their names. The members of the manifest are filled in. What [Read] would refuse is an
// error here.
func Make(m Manifest, members map[string][]byte, key *SecretKey) ([]byte, error) {
	payload, err := archive(&m, members)
	if err != nil {
		return nil, err
	}
	data := slices.Concat(key.sign(payload, m.comment(len(payload)), fmt.Sprintf("gracegate bundle: a minisign signature of what follows these four lines, a ZIP archive (%s)", key.Public().ID())), payload)
	if _, err := Read(data, []Key{key.Public()}); err != nil {
		return nil, err
	}
	return data, nil
}

// archive writes what is signed.
func archive(m *Manifest, members map[string][]byte) ([]byte, error) {
	m.Members = nil
	for name, text := range members {
		sum := sha256.Sum256(text)
		m.Members = append(m.Members, Member{Name: name, Size: int64(len(text)), SHA256: hex.EncodeToString(sum[:])})
	}
	slices.SortFunc(m.Members, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	head, err := m.encode()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	write := func(name string, text []byte) error {
		h := &zip.FileHeader{Name: name, Method: zip.Store, Modified: m.Created}
		h.SetMode(0o644)
		w, err := z.CreateHeader(h)
		if err == nil {
			_, err = w.Write(text)
		}
		return err
	}
	if err := write(ManifestName, head); err != nil {
		return nil, err
	}
	for _, member := range m.Members {
		if err := write(member.Name, members[member.Name]); err != nil {
			return nil, err
		}
	}
	err = z.Close()
	return out.Bytes(), err
}

// Read verifies a bundle by any of these keys, and returns it. It keeps data, which must not be changed afterwards. Errors are of type
// [*RefusedError]. Whether the bundle is fresh, it does not ask.
func Read(data []byte, keys []Key) (*Bundle, error) {
	if len(data) > MaxSize {
		return nil, refuse(Oversize, "name more in lists of fewer files, or fewer names", "it is larger than %d MiB", MaxSize>>20)
	}
	payload, comment, keyID, err := verify(data, keys)
	if err != nil {
		return nil, err
	}
	b, err := open(payload)
	if err != nil {
		return nil, err
	}
	if comment != b.comment(len(payload)) {
		return nil, refuse(Malformed, signAnew, "its trusted comment does not say what its manifest says")
	}
	b.data, b.KeyID = data, keyID
	return b, nil
}

// open reads what was signed.
func open(payload []byte) (*Bundle, error) {
	archive, err := zip.NewReader(bytes.NewReader(payload), int64(len(payload)))
	if err != nil {
		return nil, refuse(Malformed, signAnew, "what is signed is no ZIP archive")
	}
	switch files := archive.File; {
	case len(files) == 0 || files[0].Name != ManifestName:
		return nil, refuse(Malformed, signAnew, "it does not begin with %s", ManifestName)
	case len(files) > maxMembers:
		return nil, refuse(Oversize, signAnew, "it has more than %d members", maxMembers)
	case files[0].UncompressedSize64 > maxManifest:
		return nil, refuse(Oversize, signAnew, "its manifest is larger than %d MiB", maxManifest>>20)
	}
	left := uint64(len(payload))
	for _, f := range archive.File {
		if f.Method != zip.Store || f.UncompressedSize64 != f.CompressedSize64 {
			return nil, refuse(Malformed, signAnew, "member %q is compressed", f.Name)
		}
		if f.UncompressedSize64 > left {
			return nil, refuse(Malformed, signAnew, "its members are larger than the file is")
		}
		left -= f.UncompressedSize64
	}
	head, err := content(payload, archive.File[0])
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(payload)
	b := &Bundle{archive: archive, Digest: hex.EncodeToString(sum[:]), members: make(map[string][]byte)}
	if err := b.decode(head); err != nil {
		return nil, err
	}
	if err := b.readMembers(payload, archive.File[1:]); err != nil {
		return nil, err
	}
	return b, nil
}

// readMembers compares what there is with the manifest, member by member: both are in the order of names.
func (b *Bundle) readMembers(payload []byte, files []*zip.File) error {
	for i := range max(len(files), len(b.Members)) {
		switch {
		case i >= len(b.Members):
			return refuse(Members, signAnew, "member %q is not in the manifest", files[i].Name)
		case i >= len(files):
			return refuse(Members, signAnew, "member %q is missing", b.Members[i].Name)
		}
		f, told := files[i], b.Members[i]
		if f.Name != told.Name {
			return refuse(Members, signAnew, "member %q stands where the manifest has %q", f.Name, told.Name)
		}
		text, err := content(payload, f)
		if err != nil {
			return err
		}
		if sum := sha256.Sum256(text); int64(len(text)) != told.Size || hex.EncodeToString(sum[:]) != told.SHA256 {
			return refuse(Members, signAnew, "member %q is another one than the manifest names", f.Name)
		}
		b.members[f.Name] = text
	}
	return nil
}

// content returns a member whose size is known to be sound, as it lies in what is signed. Whether it is the right one, its SHA-256 tells.
func content(payload []byte, f *zip.File) ([]byte, error) {
	from, err := f.DataOffset()
	to := from + int64(f.UncompressedSize64) //nolint:gosec // G115: not more than there is
	if err != nil || to > int64(len(payload)) {
		return nil, refuse(Malformed, signAnew, "member %q cannot be read", f.Name)
	}
	return payload[from:to:to], nil
}

// checkName refuses what is no member of a bundle, and names that unpack somewhere else, or are passed over by who reads a catalogue.
func checkName(name string) error {
	below, inCatalog := strings.CutPrefix(name, CatalogDir+"/")
	switch {
	case name == PolicyName || name == WaiversName:
		return nil
	case !fs.ValidPath(name) || len(name) > maxName || strings.ContainsAny(name, `\:`) || strings.ContainsFunc(name, unicode.IsControl):
		return refuse(Members, "rename it", "%.300q is no name of a member", name)
	case !inCatalog:
		return refuse(Members, "a bundle has policy.yaml, waivers.yaml and catalog/", "%q is no member of a bundle", name)
	}
	for part := range strings.SplitSeq(below, "/") {
		if strings.HasPrefix(part, ".") || strings.HasSuffix(part, "~") {
			return refuse(Members, "rename it", "%q has a name as editors leave them behind", name)
		}
	}
	return nil
}
