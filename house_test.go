package gracegate_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/gracegate/gracegate"

// mayImport is the plan of the house: what a package may import from this module, besides itself. A new package adds its
// row here, and says so in its commit message. Nothing imports a package that is not in it.
var mayImport = map[string][]string{
	"policy/host":     nil,
	"policy/instant":  nil,
	"policy/clock":    nil,
	"policy/bundle":   nil,
	"proxy/hello":     nil,
	"proxy/divert":    nil,
	"proxy/socks":     nil,
	"proxy/login":     nil,
	"proxy/devices":   {"policy/host"},
	"policy/match":    {"policy/host"},
	"policy":          {"policy/host", "policy/instant", "policy/match"},
	"policy/source":   {"policy", "policy/host", "policy/instant"},
	"policy/catalog":  {"policy", "policy/source"},
	"policy/lint":     {"policy", "policy/host", "policy/instant"},
	"policy/export":   {"policy", "policy/host", "policy/instant"},
	"policy/timeline": {"policy", "policy/host"},
	"audit":           {"policy", "policy/host"},
	"audit/journal":   {"audit"},
	"audit/index":     {"audit", "audit/journal", "audit/sqlite"},
	"audit/sqlite":    {"policy", "policy/host", "audit"},
	"audit/report":    {"audit", "policy", "policy/host"},
	"certs":           {"policy/host"},
	"config":          {"policy/host"},
	"proxy":           {"policy", "policy/host", "policy/instant", "audit", "proxy/hello", "proxy/socks"},
	"console":         {"policy", "audit"},
	"cmd/gracegate": {
		"policy", "policy/host", "policy/instant", "policy/match", "policy/source", "policy/catalog", "policy/bundle", "policy/clock", "policy/timeline", "policy/export", "policy/lint",
		"proxy", "proxy/hello", "proxy/divert", "proxy/devices", "proxy/login", "audit", "audit/journal", "audit/sqlite", "audit/index", "audit/report", "certs", "config", "console",
	},
}

// confined names imports that belong to a few files. A row's files are patterns of path.Match.
var confined = []struct {
	imported string
	within   string // the packages in which the row counts; empty is all
	files    string
	atMost   int
	why      string
}{
	{"github.com/spf13/viper", "", "config/*.go", 1, "settings are resolved in one place"},
	{"github.com/elazarl/goproxy", "", "proxy/*.go", 2, "the library's edges are fenced where it is called"},
	{"modernc.org/sqlite", "", "audit/sqlite/*.go", 2, "SQL is spoken in one package"},
	{"aead.dev/minisign", "", "policy/bundle/key.go", 1, "signatures are made and verified in one place"},
	{module + "/proxy", "cmd/gracegate", "cmd/gracegate/wire.go", 1, "the parts are joined in one file"},
	{module + "/proxy/devices", "cmd/gracegate", "cmd/gracegate/wire.go", 1, "the parts are joined in one file"},
	{module + "/certs", "cmd/gracegate", "cmd/gracegate/wire*.go", 2, "the parts are joined in one file, the CA in a second"},
}

// source is one Go file of the module.
type source struct {
	name string // slash-separated, from the root of the module
	*ast.File
}

func (s source) pkg() string  { return path.Dir(s.name) }
func (s source) isTest() bool { return strings.HasSuffix(s.name, "_test.go") }

// imports returns the paths that the file imports.
func (s source) imports(t *testing.T) []string {
	t.Helper()
	all := make([]string, 0, len(s.Imports))
	for _, spec := range s.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatalf("%s: import %s: %v", s.name, spec.Path.Value, err)
		}
		all = append(all, p)
	}
	return all
}

// sources parses every Go file of the module, whatever system it is for.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	files := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := d.Name(); d.IsDir() && name != "." && (base == "testdata" || base[0] == '.' || base[0] == '_' || hasModule(name)) {
			return fs.SkipDir
		}
		if d.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		f, err := parser.ParseFile(files, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		all = append(all, source{filepath.ToSlash(name), f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// hasModule tells whether a directory is a module of its own, such as bench.
func hasModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func TestImportsFollowThePlan(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		allowed, known := mayImport[s.pkg()]
		if !known {
			t.Errorf("%s: package %s has no row in mayImport; add its row to house_test.go", s.name, s.pkg())
			continue
		}
		for _, p := range s.imports(t) {
			inner, ours := strings.CutPrefix(p, module+"/")
			if ours && !slices.Contains(allowed, inner) {
				t.Errorf("%s: package %s may not import %s; it may import %q", s.name, s.pkg(), inner, allowed)
			}
		}
	}
}

// What the law is tested with stays within the law: a test of policy that needs the road tests the wrong thing.
func TestPolicyIsTestedByItself(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if !s.isTest() || !inPolicy(s.pkg()) {
			continue
		}
		for _, p := range s.imports(t) {
			if inner, ours := strings.CutPrefix(p, module+"/"); ours && !inPolicy(inner) {
				t.Errorf("%s: a test of %s may import only policy and what is below it, not %s", s.name, s.pkg(), inner)
			}
		}
	}
}

// A row of a package that is gone would let a new one of that name in unseen.
func TestPlanNamesWhatExists(t *testing.T) {
	t.Parallel()
	exists := make(map[string]bool)
	for _, s := range sources(t) {
		exists[s.pkg()] = exists[s.pkg()] || !s.isTest()
	}
	for pkg, allowed := range mayImport {
		for _, p := range append(slices.Clone(allowed), pkg) {
			if !exists[p] {
				t.Errorf("mayImport names %s in the row of %s, and there is no such package", p, pkg)
			}
		}
	}
}

func TestConfinedImports(t *testing.T) {
	t.Parallel()
	all := sources(t)
	for _, row := range confined {
		var importers []string
		for _, s := range all {
			if s.isTest() || row.within != "" && s.pkg() != row.within || !slices.Contains(s.imports(t), row.imported) {
				continue
			}
			importers = append(importers, s.name)
			if fits, err := path.Match(row.files, s.name); err != nil || !fits {
				t.Errorf("%s imports %s, which only %s may: %s (%v)", s.name, row.imported, row.files, row.why, err)
			}
		}
		switch {
		case len(importers) > row.atMost:
			t.Errorf("%q import %s, at most %d may: %s", importers, row.imported, row.atMost, row.why)
		case len(importers) == 0:
			t.Errorf("no file imports %s any more; take its row out of confined", row.imported)
		}
	}
}

// denial finds the sentence that says what a package leaves to others. A command says it in its help.
var denial = regexp.MustCompile(`\b(no|not|never|nothing|nobody)\b`)

func TestPackageComments(t *testing.T) {
	t.Parallel()
	comments := make(map[string][]string)
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		if _, seen := comments[s.pkg()]; !seen {
			comments[s.pkg()] = nil
		}
		if s.Doc == nil {
			continue
		}
		opening := "Package " + s.Name.Name + " "
		if s.Name.Name == "main" {
			opening = "Command " + path.Base(s.pkg()) + " "
		}
		if !strings.HasPrefix(s.Doc.Text(), opening) {
			t.Errorf("%s: the package comment opens with %q", s.name, opening)
		}
		if s.Name.Name != "main" && !denial.MatchString(s.Doc.Text()) {
			t.Errorf("%s: the package comment says what the package does not do", s.name)
		}
		comments[s.pkg()] = append(comments[s.pkg()], s.name)
	}
	for pkg, files := range comments {
		if len(files) != 1 {
			t.Errorf("package %s has its comment in %q; it has one, in one file", pkg, files)
		}
	}
}

// Time is an argument of the law; only its clock, at the edge, reads one.
func TestPolicyReadsNoClock(t *testing.T) {
	t.Parallel()
	clocks := []string{"Now", "Since", "Until", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Sleep"}
	for _, s := range sources(t) {
		if s.isTest() || !inPolicy(s.pkg()) || s.pkg() == "policy/clock" {
			continue
		}
		ast.Inspect(s.File, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && slices.Contains(clocks, sel.Sel.Name) {
				t.Errorf("%s: time.%s: policy takes time as an argument", s.name, sel.Sel.Name)
			}
			return true
		})
	}
}

func TestOnlyMainEndsTheProcess(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if s.isTest() || s.name == "cmd/gracegate/main.go" {
			continue
		}
		ast.Inspect(s.File, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := sel.X.(*ast.Ident)
			if ok && (x.Name == "os" && sel.Sel.Name == "Exit" || x.Name == "log" && strings.HasPrefix(sel.Sel.Name, "Fatal")) {
				t.Errorf("%s: %s.%s: return the error; main ends the process", s.name, x.Name, sel.Sel.Name)
			}
			return true
		})
	}
}

func inPolicy(pkg string) bool {
	return pkg == "policy" || strings.HasPrefix(pkg, "policy/")
}
