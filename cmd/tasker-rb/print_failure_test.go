package main

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// An error out of a library shows the lines of the handler, the library's line in one line,
// and each line once.
func TestTheLinesOfAFailure(t *testing.T) {
	t.Parallel()
	const sequel = "require 'sequel'\nclass Rows\n  def process(*)\n    rows\n  end\n\n  def rows\n    Tasker.sequel[:nowhere].all\n  end\nend\n"
	const deep = "require 'json'\nclass Deep\n  def process(*)\n    read\n  rescue JSON::ParserError\n    raise 'cannot be read'\n  end\n\n  def read = JSON.parse('{')\nend\n"
	for _, c := range []struct {
		name, class, handler string
		lines                []string
	}{
		{"Sequel", "Rows", sequel, []string{
			`  Sequel::DatabaseError: .*relation "nowhere" does not exist.*`,
			`    from \S*handlers/h\.rb:8:in 'rows'`,
			`    from \S*handlers/h\.rb:4:in 'process'`,
			`    raised in a library, at \S*tasker_adapter.*|    raised in a library, at \S*sequel.*`,
			`  caused by`,
			`  \S*: .*relation "nowhere" does not exist.*`,
		}},
		{"ACause", "Deep", deep, []string{
			`  RuntimeError: cannot be read`,
			`    from \S*handlers/h\.rb:6:in '(?:rescue in )?process'`,
			`    from \S*handlers/h\.rb:3:in 'process'`,
			`  caused by`,
			`  JSON::ParserError: .*`,
			`    from \S*handlers/h\.rb:9:in 'read'`,
			`    from \S*handlers/h\.rb:4:in 'process'`,
			`    raised in a library, at \S*json.*`,
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, map[string]string{"t.yaml": one(c.class), "handlers/h.rb": c.handler})
			r := p.run("run", "t.yaml")
			require.Equal(t, exitTaskFailed, r.code, r.stderr)
			_, failure, _ := strings.Cut(plainLabels(r.stdout), "error after 1 attempt\n")
			lines := strings.Split(strings.TrimRight(failure, "\n"), "\n")
			for i, line := range c.lines {
				require.Less(t, i, len(lines), failure)
				require.Regexp(t, regexp.MustCompile("^(?:"+line+")$"), lines[i], failure)
			}
			seen := map[string]bool{}
			for _, line := range lines {
				if strings.HasPrefix(line, "    ") {
					require.False(t, seen[line], "%s is there twice:\n%s", line, failure)
					seen[line] = true
				}
			}
		})
	}
}
