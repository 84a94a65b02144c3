package sim

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// core are the packages that must do the same for the same inputs, by their folders from here.
var core = []string{
	".", "../../node/disk", "../../node/election", "../../node/jute", "../../node/peer", "../../node/pipeline",
	"../../node/quorum", "../../node/tree", "../../node/zab", "../../nemesis", "../../workloads",
}

// shell are the files beside the core that may look at a clock and start goroutines.
var shell = []string{"search.go", "repro.go"}

// forbidden are functions that give another answer each time.
var forbidden = map[string][]string{
	"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
	"math/rand/v2": {
		"Int", "IntN", "Int32", "Int32N", "Int64", "Int64N", "Uint32", "Uint32N", "Uint64", "Uint64N", "UintN", "N",
		"Float32", "Float64", "Perm", "Shuffle", "ExpFloat64", "NormFloat64",
	},
	"math/rand":   nil, // nothing of it at all
	"crypto/rand": nil,
	"os":          nil,
	"net":         {"Dial", "DialTimeout", "Listen", "ListenPacket", "LookupHost", "LookupIP"},
	"sync":        {"Pool"},
}

// TestTheCoreIsDeterministic reads the core's source: no clock, no goroutine, no select, no global
// source of chance, no file and no socket.
func TestTheCoreIsDeterministic(t *testing.T) {
	for _, dir := range core {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		require.NotEmpty(t, files, dir)
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") || slices.Contains(shell, name) {
				continue
			}
			inspect(t, name)
		}
	}
}

func inspect(t *testing.T, name string) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, name, nil, 0)
	require.NoError(t, err)
	imports := map[string]string{}
	for _, spec := range file.Imports {
		path := strings.Trim(spec.Path.Value, `"`)
		functions, listed := forbidden[path]
		if listed && functions == nil {
			t.Errorf("%s imports %s", set.Position(spec.Pos()), path)
		}
		word := strings.TrimSuffix(path, "/v2")
		imports[word[strings.LastIndexByte(word, '/')+1:]] = path
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			t.Errorf("%s starts a goroutine", set.Position(n.Pos()))
		case *ast.SelectStmt:
			t.Errorf("%s selects among channels", set.Position(n.Pos()))
		case *ast.SelectorExpr:
			if of, is := n.X.(*ast.Ident); is && slices.Contains(forbidden[imports[of.Name]], n.Sel.Name) {
				t.Errorf("%s uses %s.%s", set.Position(n.Pos()), of.Name, n.Sel.Name)
			}
		}
		return true
	})
}

// ordered is what may range over a map, since the order shows nowhere: each with the reason.
var ordered = map[string]string{
	"sim":      "forgets entries, collects and sorts, or adds up",
	"quorum":   "adds up",
	"tree":     "collects and sorts, or adds up",
	"pipeline": "collects and sorts, or asks all alike",
	"zab":      "adds up",
}

// TestTheCoreDoesNotDependOnTheOrderOfMaps counts loops over maps by package; a package without a
// reason above must have none. It knows maps by their declared types within a file.
func TestTheCoreDoesNotDependOnTheOrderOfMaps(t *testing.T) {
	for _, dir := range core {
		set := token.NewFileSet()
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		require.NoError(t, err)
		maps := map[string]bool{}
		var parsed []*ast.File
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") || slices.Contains(shell, name) {
				continue
			}
			file, err := parser.ParseFile(set, name, nil, 0)
			require.NoError(t, err)
			parsed = append(parsed, file)
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.Field:
					if _, is := n.Type.(*ast.MapType); is {
						for _, word := range n.Names {
							maps[word.Name] = true
						}
					}
				case *ast.ValueSpec:
					if _, is := n.Type.(*ast.MapType); is {
						for _, word := range n.Names {
							maps[word.Name] = true
						}
					}
				}
				return true
			})
		}
		for _, file := range parsed {
			if ordered[file.Name.Name] != "" {
				continue
			}
			ast.Inspect(file, func(n ast.Node) bool {
				loop, is := n.(*ast.RangeStmt)
				if !is {
					return true
				}
				words := strings.Split(types.ExprString(loop.X), ".")
				if maps[words[len(words)-1]] {
					t.Errorf("%s ranges over the map %s", set.Position(loop.Pos()), types.ExprString(loop.X))
				}
				return true
			})
		}
	}
}
