// Package docs_test checks the guides against the code, and their words.
package docs_test

import (
	"crypto/sha256"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/tasker-rb/tasker-rb"

// place is `file` or `file:name`, as the map writes it.
var place = regexp.MustCompile("`([\\w./-]+\\.(?:go|c|h|rb|sql|msc|dot))(?::([\\w.?!#]+))?`")

// pages are maps of the code: each place that they name must exist.
var pages = []string{"architecture.md", "../CONTRIBUTING.md"}

func TestEveryPlaceOfTheMapExists(t *testing.T) {
	t.Parallel()
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		places := place.FindAllStringSubmatch(string(text), -1)
		require.NotEmpty(t, places, page)
		if page == "architecture.md" {
			require.Greater(t, len(places), 25, "the map names the main path by file and function")
		}
		for _, p := range places {
			file, name := p[1], p[2]
			source, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(file)))
			require.NoError(t, err, "%s names the file %s", page, file)
			if name != "" {
				require.True(t, declares(t, file, source, name), "%s: %s declares no %s", page, file, name)
			}
		}
	}
}

// heads are the source files whose first comment is a map of their package.
var heads = []string{
	"orchestration/doc.go", "orchestration/sqlsession/doc.go", "orchestration/rubysteps/doc.go",
	"orchestration/orchestrationtest/doc.go", "orchestration/testbed/doc.go", "rubyhost/doc.go", "rubyhost/cbridge.c",
}

var (
	// listed is a line of a list in a comment: its first word, and the rest.
	listed = regexp.MustCompile(`(?m)^(?://\t| \*   )(\S+?),?(?:[ \t]+(.*))?$`)
	// named is a file in a text.
	named = regexp.MustCompile(`\w[\w./-]*\.(?:go|c|h|rb|sql|md)\b`)
)

func TestEveryFileInTheHeadOfAPackageExists(t *testing.T) {
	t.Parallel()
	for _, head := range heads {
		source, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(head)))
		require.NoError(t, err)
		text := firstComment(string(source), path.Ext(head))
		lines := listed.FindAllStringSubmatch(text, -1)
		require.Greater(t, len(lines), 3, "%s lists files", head)
		files := 0
		for _, line := range lines {
			files += len(named.FindAllString(line[1], -1))
			for _, file := range named.FindAllString(line[2], -1) {
				// In a line about a folder, a file may be one of that folder.
				require.True(t, existsBeside(head, file) || existsBeside(head, path.Join(line[1], file)), "%s names %s", head, file)
			}
		}
		require.Greater(t, files, 2, "%s lists files", head)
		for _, file := range named.FindAllString(listed.ReplaceAllString(text, "$1"), -1) {
			require.True(t, existsBeside(head, file), "%s names %s", head, file)
		}
	}
}

// firstComment is what precedes a Go file's package clause, or a C file's code.
func firstComment(source, kind string) string {
	end := "\npackage "
	if kind == ".c" {
		end = "*/"
	}
	comment, _, _ := strings.Cut(source, end)
	return comment
}

// existsBeside reports whether a file exists in the folder of head or below the root.
func existsBeside(head, file string) bool {
	for _, folder := range []string{path.Dir(head), "."} {
		if _, err := os.Stat(filepath.Join("..", filepath.FromSlash(path.Join(folder, file)))); err == nil {
			return true
		}
	}
	return false
}

// declares reports whether the source defines the function, type or constant.
func declares(t *testing.T, file string, source []byte, name string) bool {
	t.Helper()
	switch path.Ext(file) {
	case ".go":
		return slices.Contains(goNames(t, file, source), name)
	case ".rb":
		method := name[strings.LastIndexAny(name, ".#")+1:]
		return regexp.MustCompile(`(?m)^\s*(?:def (?:self\.)?|class |module )` + regexp.QuoteMeta(method) + `(?:\W|$)`).Match(source)
	default:
		return regexp.MustCompile(`(?m)^(?:[\w*]+[ *]+)+` + regexp.QuoteMeta(name) + `\(`).Match(source)
	}
}

// goNames are the declarations of a file; a method is "Type.Method".
func goNames(t *testing.T, file string, source []byte) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, source, 0)
	require.NoError(t, err)
	var names []string
	for _, d := range parsed.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				names = append(names, d.Name.Name)
				continue
			}
			receiver := d.Recv.List[0].Type
			if star, ok := receiver.(*ast.StarExpr); ok {
				receiver = star.X
			}
			if generic, ok := receiver.(*ast.IndexExpr); ok {
				receiver = generic.X
			}
			names = append(names, receiver.(*ast.Ident).Name+"."+d.Name.Name)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					names = append(names, s.Name.Name)
				case *ast.ValueSpec:
					for _, n := range s.Names {
						names = append(names, n.Name)
					}
				}
			}
		}
	}
	return names
}

var arrow = regexp.MustCompile(`(?m)^\s*"([^"]+)" -> "([^"]+)"`)

// The picture of the packages shows what imports what, no more and no less.
func TestPackagesPictureHasTheImports(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("pictures/packages.dot")
	require.NoError(t, err)
	drawn := map[string]bool{}
	for _, a := range arrow.FindAllStringSubmatch(string(source), -1) {
		drawn[a[1]+" -> "+a[2]] = true
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(imports(t))), slices.Collect(maps.Keys(drawn)))
}

// imports are the arrows between the packages of the program, without tests
// and without the small packages in internal.
func imports(t *testing.T) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := filepath.ToSlash(strings.TrimPrefix(file, ".."+string(filepath.Separator)))
		if d.IsDir() {
			if d.Name() == "testdata" || name == "bench" || name == "internal" || name == "orchestration/orchestrationtest" || file != ".." && strings.HasPrefix(d.Name(), ".") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, i := range parsed.Imports {
			if to, ours := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), module+"/"); ours && !strings.HasPrefix(to, "internal/") {
				found[path.Dir(name)+" -> "+to] = true
			}
		}
		return nil
	})
	require.NoError(t, err)
	return found
}

// A picture bears the checksum of the text that it was drawn from.
func TestPicturesAreDrawnFromTheirSources(t *testing.T) {
	t.Parallel()
	sources, err := filepath.Glob("pictures/*.[adm]*")
	require.NoError(t, err)
	require.NotEmpty(t, sources)
	for _, source := range sources {
		text, err := os.ReadFile(source)
		require.NoError(t, err)
		picture, err := os.ReadFile(strings.TrimSuffix(source, filepath.Ext(source)) + ".svg")
		require.NoError(t, err)
		require.Contains(t, string(picture), fmt.Sprintf("<!-- source %x -->", sha256.Sum256(text)),
			"%s has changed: draw it with `make docs/pictures`", source)
	}
	moving, err := filepath.Glob("pictures/*.frames")
	require.NoError(t, err)
	require.NotEmpty(t, moving)
	for _, frames := range moving {
		files, err := filepath.Glob(frames + "/*.ansi")
		require.NoError(t, err)
		var text []byte
		for _, file := range files {
			frame, err := os.ReadFile(file)
			require.NoError(t, err)
			text = append(text, frame...)
		}
		picture, err := os.ReadFile(strings.TrimSuffix(frames, ".frames") + "_live.svg")
		require.NoError(t, err)
		require.Contains(t, string(picture), fmt.Sprintf("<!-- source %x -->", sha256.Sum256(text)),
			"%s has changed: draw it with `make docs/pictures`", frames)
	}
}

var namedTest = regexp.MustCompile("`((?:Test|Fuzz|Benchmark)\\w+)`")

// A guide that names a test names one that is there.
func TestEveryTestThatTheGuidesNameExists(t *testing.T) {
	t.Parallel()
	declared := map[string]bool{}
	err := filepath.WalkDir("..", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(file, "_test.go") {
			return err
		}
		source, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for _, name := range goNames(t, file, source) {
			declared[name] = true
		}
		return nil
	})
	require.NoError(t, err)
	guides, err := filepath.Glob("*.md")
	require.NoError(t, err)
	for _, guide := range append(guides, "../RATIONALE.md", "../README.md", "../CONTRIBUTING.md") {
		text, err := os.ReadFile(guide)
		require.NoError(t, err)
		for _, m := range namedTest.FindAllStringSubmatch(string(text), -1) {
			require.True(t, declared[m[1]], "%s names %s", guide, m[1])
		}
	}
}
