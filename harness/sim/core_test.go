package sim

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// part is a package, or some files of one, that must do the same for the same inputs.
type part struct {
	dir   string
	files []string // the core among shells; empty for all but shell
	shell []string // may look at a clock and start goroutines
}

var core = []part{
	{dir: ".", shell: []string{"search.go", "repro.go"}},
	{dir: "../client", files: []string{"session.go", "watches.go", "codec.go", "operations.go"}},
	{dir: "../../node/defect"}, {dir: "../../node/disk"}, {dir: "../../node/election"}, {dir: "../../node/jute"},
	{dir: "../../node/peer"}, {dir: "../../node/pipeline"}, {dir: "../../node/quorum"}, {dir: "../../node/tree"},
	{dir: "../../node/zab"}, {dir: "../../nemesis"}, {dir: "../../workloads"},
}

// checked tells whether a file belongs to the core.
func (p part) checked(name string) bool {
	return (len(p.files) == 0 || slices.Contains(p.files, name)) && !slices.Contains(p.shell, name)
}

// forbidden are functions that give another answer each time; nil stands for a whole package.
var forbidden = map[string][]string{
	"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
	"math/rand/v2": {
		"Int", "IntN", "Int32", "Int32N", "Int64", "Int64N", "Uint32", "Uint32N", "Uint64", "Uint64N", "Uint", "UintN", "N",
		"Float32", "Float64", "Perm", "Shuffle", "ExpFloat64", "NormFloat64",
	},
	"math/rand": nil, "crypto/rand": nil, "os": nil, "hash/maphash": nil,
	"net":  {"Dial", "DialTimeout", "Listen", "ListenPacket", "LookupHost", "LookupIP"},
	"sync": {"Pool"},
}

// exemption is what a line that ranges over a map must end with, or the line above it be, with the
// reason why the order shows nowhere.
const exemption = "// any order: "

// TestTheCoreIsDeterministic reads the core's source with its types: no clock, no goroutine, no select,
// no global source of chance, no file and no socket, and no map whose order could show.
func TestTheCoreIsDeterministic(t *testing.T) {
	set := token.NewFileSet()
	from := exports(t)
	for _, p := range core {
		for _, fault := range inspect(t, set, from, p.dir, p.checked) {
			t.Error(fault)
		}
	}
}

// The linter itself is tested: what is wrong is found by its meaning, and not by how it is written.
func TestWhatIsNotDeterministicIsFound(t *testing.T) {
	faults := inspect(t, token.NewFileSet(), exports(t), "testdata/lint", func(string) bool { return true })
	var got []string
	for _, fault := range faults {
		got = append(got, strings.TrimPrefix(fault, "testdata/lint/"))
	}
	require.Equal(t, []string{
		"wrong.go:6:2: imports os",
		"wrong.go:12:2: uses time.Now",
		"wrong.go:13:13: uses math/rand/v2.IntN",
		"wrong.go:14:2: starts a goroutine",
		"wrong.go:15:2: selects among channels",
		"wrong.go:21:2: ranges over the map m",
		"wrong.go:24:2: ranges over the map table(m)",
		"wrong.go:26:22: ranges over a map by maps.Keys",
		"wrong.go:29:2: ranges over the map m",
	}, got)
}

// exports finds the compiled form of what the core imports.
func exports(t *testing.T) types.Importer {
	t.Helper()
	arguments := []string{"list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}"}
	for _, p := range core {
		arguments = append(arguments, "./"+filepath.ToSlash(p.dir))
	}
	list := exec.CommandContext(t.Context(), "go", append(arguments, "os", "maps", "slices")...)
	list.Stderr = os.Stderr
	out, err := list.Output()
	require.NoError(t, err)
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		files[path] = file
	}
	return importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) { return os.Open(files[path]) })
}

// inspect returns what is wrong with a package's files.
func inspect(t *testing.T, set *token.FileSet, from types.Importer, dir string, checked func(name string) bool) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	names = slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
	require.NotEmpty(t, names, dir)
	var files []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		require.NoError(t, err)
		files = append(files, file)
	}
	l := &lint{set: set, info: &types.Info{Uses: map[*ast.Ident]types.Object{}, Types: map[ast.Expr]types.TypeAndValue{}}}
	_, err = (&types.Config{Importer: from}).Check(dir, set, files, l.info)
	require.NoError(t, err)
	for i, name := range names {
		if checked(filepath.Base(name)) {
			l.file(files[i])
		}
	}
	return l.faults
}

// lint collects what is wrong.
type lint struct {
	set    *token.FileSet
	info   *types.Info
	exempt map[int]bool // lines
	faults []string
}

func (l *lint) fault(at token.Pos, text string) {
	l.faults = append(l.faults, l.set.Position(at).String()+": "+text)
}

func (l *lint) file(file *ast.File) {
	for _, spec := range file.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		if functions, listed := forbidden[path]; listed && functions == nil {
			l.fault(spec.Pos(), "imports "+path)
		}
	}
	l.exempt = map[int]bool{}
	for _, group := range file.Comments {
		for _, comment := range group.List {
			if reason, is := strings.CutPrefix(comment.Text, exemption); is && reason != "" {
				line := l.set.Position(comment.Pos()).Line
				l.exempt[line], l.exempt[line+1] = true, true
			}
		}
	}
	ast.Inspect(file, l.node)
}

func (l *lint) node(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.GoStmt:
		l.fault(n.Pos(), "starts a goroutine")
	case *ast.SelectStmt:
		l.fault(n.Pos(), "selects among channels")
	case *ast.RangeStmt:
		if _, is := l.info.Types[n.X].Type.Underlying().(*types.Map); is && !l.exempt[l.set.Position(n.Pos()).Line] {
			l.fault(n.Pos(), "ranges over the map "+types.ExprString(n.X))
		}
	case *ast.CallExpr:
		if path, name := l.used(n.Fun); path == "slices" && strings.HasPrefix(name, "Sorted") {
			return false // whatever comes in any order is sorted
		}
	case *ast.Ident:
		path, name := l.used(n)
		if slices.Contains(forbidden[path], name) {
			l.fault(n.Pos(), "uses "+path+"."+name)
		}
		if path == "maps" && slices.Contains([]string{"All", "Keys", "Values"}, name) && !l.exempt[l.set.Position(n.Pos()).Line] {
			l.fault(n.Pos(), "ranges over a map by maps."+name)
		}
	}
	return true
}

// used is the package and the name of the package's function that an expression stands for.
func (l *lint) used(e ast.Expr) (path, name string) {
	if selector, is := e.(*ast.SelectorExpr); is {
		e = selector.Sel
	}
	identifier, is := e.(*ast.Ident)
	if !is {
		return "", ""
	}
	function, is := l.info.Uses[identifier].(*types.Func)
	if !is || function.Pkg() == nil || function.Signature().Recv() != nil {
		return "", ""
	}
	return function.Pkg().Path(), function.Name()
}
