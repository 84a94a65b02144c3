package defect_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"ordeal/node/defect"
)

// TestEveryDefectHasItsPlace: every name is described once, and the server's code asks for each of
// them somewhere.
func TestEveryDefectHasItsPlace(t *testing.T) {
	names := constants(t)
	require.Len(t, defect.Catalogue, len(names))
	asked := identifiers(t, "..")
	for identifier, name := range names {
		description, found := defect.Find(name)
		require.True(t, found, "%s has no description", identifier)
		require.NotEmpty(t, description.Summary, name)
		require.NotEmpty(t, description.Guarantees, name)
		require.True(t, asked[identifier], "no code of the server asks for defect.%s", identifier)
	}
}

// TestEveryIssueTellsItsStory: Apache's mistakes say how they do harm and which invariants they break, and no issue stands twice.
func TestEveryIssueTellsItsStory(t *testing.T) {
	seen := map[string]defect.Name{}
	for _, d := range defect.Catalogue {
		for _, issue := range strings.Split(d.Issue, ", ") {
			if issue == "" {
				continue
			}
			require.True(t, strings.HasPrefix(issue, "ZOOKEEPER-"), "%s: %q", d.Name, issue)
			require.Empty(t, seen[issue], "%s stands at %s too", issue, d.Name)
			seen[issue] = d.Name
		}
		if d.SimulatorOnly {
			require.NotEmpty(t, d.Issue, d.Name)
			require.NotEmpty(t, d.Story, d.Name)
			require.NotEmpty(t, d.Inside, d.Name)
		}
	}
	for _, issue := range strings.Fields("335 975 1154 1419 2355 2845 3023 3642 3911 4394 4643 4646 4685 4712 4837 4882 4925") {
		require.NotEmpty(t, seen["ZOOKEEPER-"+issue], issue)
	}
}

// constants are the names that this package declares, by identifier.
func constants(t *testing.T) map[string]defect.Name {
	file, err := parser.ParseFile(token.NewFileSet(), "defect.go", nil, 0)
	require.NoError(t, err)
	names := map[string]defect.Name{}
	for _, declaration := range file.Decls {
		group, is := declaration.(*ast.GenDecl)
		if !is || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			value := spec.(*ast.ValueSpec)
			names[value.Names[0].Name] = defect.Name(strings.Trim(value.Values[0].(*ast.BasicLit).Value, `"`))
		}
	}
	require.NotEmpty(t, names)
	return names
}

// identifiers are what code below a directory asks of this package, tests apart.
func identifiers(t *testing.T, root string) map[string]bool {
	asked := map[string]bool{}
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, is := n.(*ast.CallExpr)
			if !is {
				return true
			}
			function, is := call.Fun.(*ast.SelectorExpr)
			if !is || function.Sel.Name != "On" && function.Sel.Name != "defective" {
				return true
			}
			for _, argument := range call.Args {
				if name, is := argument.(*ast.SelectorExpr); is {
					asked[name.Sel.Name] = true
				}
			}
			return true
		})
		return nil
	}))
	return asked
}
