package main

import (
	"path/filepath"
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
			p := newProject(t, nil)
			p.dir = filepath.Join(p.dir, "tasker-rb", "ruby-shop") // nearly as the Ruby half's own folder
			p.write(map[string]string{"t.yaml": one(c.class), "handlers/h.rb": c.handler})
			r := p.run("run", "t.yaml")
			require.Equal(t, exitTaskFailed, r.code, r.stderr)
			_, failure, _ := strings.Cut(plainLabels(r.stdout), "error after 1 attempt")
			_, failure, _ = strings.Cut(failure, "\n")
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

// The handler rescues an error of SQL, and goes on. The failure names the line of that
// statement, and not of a later one.
func TestTheLineOfARescuedErrorOfSQL(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{"one.yaml": one("Rescues"), "handlers/rescues.rb": `
class Rescues
  def process(*)
    begin
      Tasker.db.exec("select 1/0")
    rescue StandardError
      nil
    end
    Tasker.db.exec("SELECT 1") if File.exist?("more")
    { ok: 1 }
  end
end
`})
	for range 2 {
		r := p.run("run", "one.yaml")
		require.Equal(t, exitTaskFailed, r.code, r.stderr)
		requireInOrder(t, r.stdout, "Tasker::SQLError::DataException: division by zero", "The handler rescued this error", "savepoint", "handlers/rescues.rb:5:in ")
		require.NotContains(t, r.stdout, "rescues.rb:9")
		p.write(map[string]string{"more": ""})
	}
}
