package bundle

import (
	"archive/zip"
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"aead.dev/minisign"
	"github.com/google/go-cmp/cmp"
)

var (
	created = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	expires = created.Add(90 * 24 * time.Hour)
)

// testKey returns a secret key that is the same in every run.
func testKey(tb testing.TB, seed byte) *SecretKey {
	tb.Helper()
	_, key, err := minisign.GenerateKey(bytes.NewReader(bytes.Repeat([]byte{seed}, ed25519.SeedSize)))
	if err != nil {
		tb.Fatal(err)
	}
	return &SecretKey{key}
}

func manifest() Manifest { return Manifest{Version: 12, Created: created, Expires: expires} }

func members() map[string][]byte {
	return map[string][]byte{
		PolicyName: []byte("version: 1\n"), WaiversName: []byte("waivers: []\n"),
		"catalog/vendors/acme.yaml": []byte("vendor: acme\n"), "catalog/vendors/lists/a.txt": nil, "catalog/jurisdictions.yaml": []byte("jurisdictions: []\n"),
	}
}

func made(tb testing.TB, m Manifest, key *SecretKey) []byte {
	tb.Helper()
	data, err := Make(m, members(), key)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestReadGivesBackWhatWasMade(t *testing.T) {
	t.Parallel()
	key := testKey(t, 1)
	m := manifest()
	m.CatalogOnly, m.Limits = true, Limits{Forbidden: true, MaxSeconds: 3600}
	data := made(t, m, key)
	if !bytes.Equal(data, made(t, m, key)) {
		t.Error("the same members make other bytes")
	}
	b, err := Read(data, []Key{testKey(t, 2).Public(), key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	b.Members, m.Members = nil, nil
	m.Format = format
	if diff := cmp.Diff(m, b.Manifest); diff != "" {
		t.Error(diff)
	}
	for name, text := range members() {
		if got, ok := b.Member(name); !ok || !bytes.Equal(got, text) {
			t.Errorf("member %s is %q, %t", name, got, ok)
		}
	}
	if _, ok := b.Member(ManifestName); ok {
		t.Error("the manifest is a member of its own")
	}
	if b.KeyID != key.Public().ID() || b.Limits.Max() != time.Hour || !bytes.Equal(b.Bytes(), data) {
		t.Errorf("key %s, at most %s", b.KeyID, b.Limits.Max())
	}
}

func TestCatalogIsADirectory(t *testing.T) {
	t.Parallel()
	key := testKey(t, 1)
	b, err := Read(made(t, manifest(), key), []Key{key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	err = fs.WalkDir(b.Catalog(), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if diff := cmp.Diff([]string{"jurisdictions.yaml", "vendors/acme.yaml", "vendors/lists/a.txt"}, names); err != nil || diff != "" {
		t.Error(err, diff)
	}
	data, err := Make(manifest(), map[string][]byte{PolicyName: nil}, key)
	if err != nil {
		t.Fatal(err)
	}
	if b, err = Read(data, []Key{key.Public()}); err != nil || b.Catalog() != nil {
		t.Errorf("without a catalogue: %v, %v", b.Catalog(), err)
	}
}

// A second signature of the same leaves the bundle the same: so keys are changed.
func TestDigestIsNotThatOfTheSignature(t *testing.T) {
	t.Parallel()
	var digests []string
	for seed := byte(1); seed <= 2; seed++ {
		key := testKey(t, seed)
		b, err := Read(made(t, manifest(), key), []Key{key.Public()})
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, b.Digest)
	}
	if digests[0] != digests[1] {
		t.Error("another signature makes another digest")
	}
}

func TestTruncatedAtEveryLength(t *testing.T) {
	t.Parallel()
	key := testKey(t, 1)
	data := made(t, manifest(), key)
	for n := range data {
		_, err := Read(data[:n:n], []Key{key.Public()})
		if refused, ok := errors.AsType[*RefusedError](err); !ok || refused.Reason != Truncated {
			t.Fatalf("%d of %d bytes: %v", n, len(data), err)
		}
	}
}

// A changed byte is refused, or it is in the signature and means nothing: the comment that is not signed, and the last bits of base64.
func TestChangedAtEveryByte(t *testing.T) {
	t.Parallel()
	key := testKey(t, 1)
	data := made(t, manifest(), key)
	signature, payload, err := split(data)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		changed := slices.Clone(data)
		changed[i] ^= 1
		b, err := Read(changed, []Key{key.Public()})
		if _, ok := errors.AsType[*RefusedError](err); !ok && (err != nil || b.Digest != digestOf(payload) || i >= len(signature)) {
			t.Errorf("byte %d changed from %q to %q: %v", i, data[i], changed[i], err)
		}
	}
}

// forged is a bundle that is signed and nevertheless wrong.
type forged struct {
	manifest []byte // nil: of the entries
	entries  []entry
	method   uint16
	comment  string // empty: the right one
}

type entry struct {
	name, text string
}

func (f forged) sign(tb testing.TB, key *SecretKey) []byte {
	tb.Helper()
	m := manifest()
	m.Format = format
	for _, e := range f.entries {
		sum := sha256.Sum256([]byte(e.text))
		m.Members = append(m.Members, Member{e.name, int64(len(e.text)), hex.EncodeToString(sum[:])})
	}
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	head := f.manifest
	if head == nil {
		head = manifestText(m)
	}
	for _, e := range append([]entry{{ManifestName, string(head)}}, f.entries...) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: e.name, Method: f.method})
		if err == nil {
			_, err = w.Write([]byte(e.text))
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	comment := f.comment
	if comment == "" {
		comment = m.comment(out.Len())
	}
	return slices.Concat(key.sign(out.Bytes(), comment, "x"), out.Bytes())
}

// manifestText writes a manifest without a look at it.
func manifestText(m Manifest) []byte {
	text := fmt.Sprintf(`{"format":%d,"version":%d,"created":%q,"expires":%q,"catalog_only":false,"local_waivers":{"forbidden":false,"max_seconds":%d},"members":[`,
		m.Format, m.Version, m.Created.Format(time.RFC3339Nano), m.Expires.Format(time.RFC3339Nano), m.Limits.MaxSeconds)
	for i, member := range m.Members {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprintf(`{"name":%q,"size":%d,"sha256":%q}`, member.Name, member.Size, member.SHA256)
	}
	return []byte(text + "]}")
}

func changedManifest(change func(*Manifest)) []byte {
	m := manifest()
	m.Format = format
	m.Members = []Member{{PolicyName, 1, hex.EncodeToString(sha256.New().Sum(nil))}}
	sum := sha256.Sum256([]byte("x"))
	m.Members[0].SHA256 = hex.EncodeToString(sum[:])
	change(&m)
	return manifestText(m)
}

var onlyPolicy = []entry{{PolicyName, "x"}}

// refusedForgeries are what a key could sign, by mistake or by malice, and nobody may take up.
var refusedForgeries = []struct {
	name   string
	forged forged
	reason Reason
	says   string
}{
	{"no policy", forged{entries: []entry{{WaiversName, "x"}}}, Members, "it holds no policy.yaml"},
	{"a member twice", forged{entries: []entry{{PolicyName, "x"}, {PolicyName, "x"}}}, Members, `member "policy.yaml" stands twice in the manifest, or out of order`},
	{"out of order", forged{entries: []entry{{WaiversName, "x"}, {PolicyName, "x"}}}, Members, `member "policy.yaml" stands twice in the manifest, or out of order`},
	{"unknown member", forged{entries: []entry{{"notes.txt", "x"}, {PolicyName, "x"}}}, Members, `"notes.txt" is no member of a bundle`},
	{"a second manifest", forged{entries: []entry{{ManifestName, "x"}, {PolicyName, "x"}}}, Members, `"manifest.json" is no member of a bundle`},
	{"a way up", forged{entries: []entry{{"catalog/../../etc/cron.d/x", "x"}, {PolicyName, "x"}}}, Members, `"catalog/../../etc/cron.d/x" is no name of a member`},
	{"an absolute path", forged{entries: []entry{{"/etc/passwd", "x"}, {PolicyName, "x"}}}, Members, `"/etc/passwd" is no name of a member`},
	{"a path of Windows", forged{entries: []entry{{`catalog/a\..\b`, "x"}, {PolicyName, "x"}}}, Members, `"catalog/a\\..\\b" is no name of a member`},
	{"a drive", forged{entries: []entry{{"C:/x", "x"}, {PolicyName, "x"}}}, Members, `"C:/x" is no name of a member`},
	{"a line break", forged{entries: []entry{{"catalog/a\nb", "x"}, {PolicyName, "x"}}}, Members, `"catalog/a\nb" is no name of a member`},
	{"a hidden file", forged{entries: []entry{{"catalog/vendors/.x.yaml", "x"}, {PolicyName, "x"}}}, Members, `"catalog/vendors/.x.yaml" has a name as editors leave them behind`},
	{"compressed", forged{entries: onlyPolicy, method: zip.Deflate}, Malformed, `member "manifest.json" is compressed`},
	{"not in the manifest", forged{entries: []entry{{PolicyName, "x"}, {WaiversName, "x"}}, manifest: changedManifest(func(*Manifest) {})}, Members, `member "waivers.yaml" is not in the manifest`},
	{"missing", forged{entries: onlyPolicy, manifest: changedManifest(func(m *Manifest) {
		m.Members = append(m.Members, Member{WaiversName, 1, m.Members[0].SHA256})
	})}, Members, `member "waivers.yaml" is missing`},
	{"of another bundle", forged{entries: []entry{{PolicyName, "y"}}, manifest: changedManifest(func(*Manifest) {})}, Members, `member "policy.yaml" is another one than the manifest names`},
	{"another name", forged{entries: []entry{{"policy.yml", "x"}}, manifest: changedManifest(func(*Manifest) {})}, Members, `member "policy.yml" stands where the manifest has "policy.yaml"`},
	{"version 0", forged{entries: onlyPolicy, manifest: changedManifest(func(m *Manifest) { m.Version = 0 })}, Malformed, "its version is 0: it is 1 to 9007199254740991"},
	{"a version too large", forged{entries: onlyPolicy, manifest: changedManifest(func(m *Manifest) { m.Version = MaxVersion + 1 })}, Malformed, "its version is 9007199254740992: it is 1 to 9007199254740991"},
	{"expires at once", forged{entries: onlyPolicy, manifest: changedManifest(func(m *Manifest) { m.Expires = m.Created })}, Malformed, "it expires at 2026-11-29T12:00:00Z, not after its creation at 2026-11-29T12:00:00Z"},
	{"half a second", forged{entries: onlyPolicy, manifest: changedManifest(func(m *Manifest) { m.Expires = m.Expires.Add(time.Millisecond) })}, Malformed, "both are whole seconds of the years 1 to 9999"},
	{"a cap below 0", forged{entries: onlyPolicy, manifest: changedManifest(func(m *Manifest) { m.Limits.MaxSeconds = -1 })}, Malformed, "it lets a waiver last -1 seconds"},
	{"a later format", forged{entries: onlyPolicy, manifest: changedManifest(func(m *Manifest) { m.Format = 2 })}, Malformed, "its format is 2, and this program reads 1"},
	{"no format", forged{entries: onlyPolicy, manifest: changedManifest(func(m *Manifest) { m.Format = 0 })}, Malformed, "its format is 0, and this program reads 1"},
	{"an unknown limit", forged{entries: onlyPolicy, manifest: []byte(`{"format":1,"owners":["x"]}`)}, Malformed, "its manifest cannot be read: "},
	{"a key twice", forged{entries: onlyPolicy, manifest: []byte(`{"format":1,"format":1}`)}, Malformed, "its manifest cannot be read: "},
	{"no manifest", forged{entries: onlyPolicy, manifest: []byte("-")}, Malformed, "its manifest cannot be read: "},
	{"another comment", forged{entries: onlyPolicy, comment: "gracegate bundle version 13"}, Malformed, "its trusted comment does not say what its manifest says"},
}

func TestReadRefusesForgeries(t *testing.T) {
	t.Parallel()
	key := testKey(t, 1)
	keys := []Key{key.Public()}
	if _, err := Read(forged{entries: onlyPolicy}.sign(t, key), keys); err != nil {
		t.Fatalf("what is no forgery: %v", err)
	}
	for _, tt := range refusedForgeries {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Read(tt.forged.sign(t, key), keys)
			wantRefused(t, err, tt.reason, tt.says)
		})
	}
}

func wantRefused(t *testing.T, err error, reason Reason, says string) {
	t.Helper()
	refused, ok := errors.AsType[*RefusedError](err)
	if !ok || refused.Reason != reason || !strings.Contains(refused.Message, says) || refused.Hint == "" {
		t.Errorf("got %+v, want %s: %s, and a hint", err, reason, says)
	}
}

func TestReadRefusesWhatNobodySigned(t *testing.T) {
	t.Parallel()
	key, other := testKey(t, 1), testKey(t, 2)
	keys := []Key{key.Public()}
	data := made(t, manifest(), key)
	m := manifest()
	m.Version++
	later := made(t, m, key)
	theirs := made(t, manifest(), other)
	signature, payload, err := split(data)
	if err != nil {
		t.Fatal(err)
	}
	otherSignature, _, _ := split(later)
	ours := underID(t, theirs, key.Public())
	large := append(slices.Clone(data), make([]byte, MaxSize)...)
	for _, tt := range []struct {
		name   string
		data   []byte
		keys   []Key
		reason Reason
		says   string
	}{
		{"nothing", nil, keys, Truncated, "it ends within its signature"},
		{"a policy", []byte("version: 1\n"), keys, Malformed, "it does not begin with a signature of minisign"},
		{"a page", []byte("<!DOCTYPE html>"), keys, Malformed, "it does not begin with a signature of minisign"},
		{"another key", theirs, keys, UnknownKey, "it is signed by the key " + other.Public().ID() + ", and trusted are " + key.Public().ID()},
		{"no key", data, nil, UnknownKey, ", and trusted are none"},
		{"another key under our id", ours, keys, Signature, "its signature is not one of what it holds"},
		{"the signature of another", slices.Concat(otherSignature, payload), keys, Signature, "its signature is not one of what it holds"},
		{"something behind it", append(slices.Clone(data), 0), keys, Signature, "its signature is not one of what it holds"},
		{"signed twice", slices.Concat(signature, data), keys, Signature, "its signature is not one of what it holds"},
		{"lines without end", append([]byte(untrustedComment), bytes.Repeat([]byte("x"), 2*maxSignature)...), keys, Malformed, "its signature is no signature of minisign"},
		{"four lines of something", []byte(untrustedComment + "\na\nb\nc\n"), keys, Malformed, "its signature is no signature of minisign"},
		{"too large", large, keys, Oversize, "it is larger than 64 MiB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Read(tt.data, tt.keys)
			wantRefused(t, err, tt.reason, tt.says)
		})
	}
}

// underID is a bundle whose signature says that it was made by another key.
func underID(t *testing.T, data []byte, k Key) []byte {
	t.Helper()
	text, payload, err := split(data)
	if err != nil {
		t.Fatal(err)
	}
	var s minisign.Signature
	if err := s.UnmarshalText(text); err != nil {
		t.Fatal(err)
	}
	s.KeyID = k.key.ID()
	if text, err = s.MarshalText(); err != nil {
		t.Fatal(err)
	}
	return slices.Concat(text, payload)
}

func TestMakeRefusesWhatReadWould(t *testing.T) {
	t.Parallel()
	with := func(name string) map[string][]byte {
		all := maps.Clone(members())
		all[name] = nil
		return all
	}
	for name, all := range map[string]map[string][]byte{
		"../x": with("../x"), "catalog/a~": with("catalog/a~"), "no policy": {WaiversName: nil},
		"too large": {PolicyName: make([]byte, MaxSize)},
	} {
		if _, err := Make(manifest(), all, testKey(t, 1)); err == nil {
			t.Errorf("%s: it was signed", name)
		}
	}
	m := manifest()
	m.Created = m.Created.Add(time.Millisecond)
	if _, err := Make(m, members(), testKey(t, 1)); err == nil {
		t.Error("a time with milliseconds was signed")
	}
}

func TestFreshAndAfter(t *testing.T) {
	t.Parallel()
	key := testKey(t, 1)
	b, err := Read(made(t, manifest(), key), []Key{key.Public()})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		now    time.Time
		reason Reason // empty: it is fresh
	}{
		{created.Add(-Skew - 1), NotYetValid},
		{created.Add(-Skew), ""},
		{created, ""},
		{expires.Add(-1), ""},
		{expires, Expired},
		{time.Unix(0, 0), NotYetValid},
		{expires.AddDate(100, 0, 0), Expired},
	} {
		if err := b.Fresh(tt.now); tt.reason == "" && err != nil || tt.reason != "" && !isRefused(err, tt.reason) {
			t.Errorf("at %s: %v, want %q", tt.now, err, tt.reason)
		}
		if b.Expired(tt.now) != (tt.reason == Expired) {
			t.Errorf("at %s: expired is wrong", tt.now)
		}
	}
	for _, tt := range []struct {
		seen   Seen
		reason Reason
	}{
		{Seen{}, ""},
		{Seen{11, "other"}, ""},
		{b.Seen(), ""},
		{Seen{12, "other"}, SameVersion},
		{Seen{13, b.Digest}, Older},
		{Seen{13, "other"}, Older},
	} {
		if err := b.After(tt.seen); tt.reason == "" && err != nil || tt.reason != "" && !isRefused(err, tt.reason) {
			t.Errorf("after %+v: %v, want %q", tt.seen, err, tt.reason)
		}
	}
}

func isRefused(err error, reason Reason) bool {
	refused, ok := errors.AsType[*RefusedError](err)
	return ok && refused.Reason == reason && refused.Hint != ""
}
