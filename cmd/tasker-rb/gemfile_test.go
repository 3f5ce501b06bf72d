package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// library is a handler that names what Rails always loads, without a require, and
// what only some versions of Ruby bring as a library.
const library = `
class Library < Tasker::StepHandler::Base
  def process(_task, _sequence, _step)
    row = Tasker.db.first("SELECT $1::json AS j, $2::numeric AS n, '{\"k\": 1, \"k\": 2}'::json AS twice", [{ a: 1, "a" => 2, b: "é".b }, BigDecimal("1.50")])
    log_structured(:info, "names", a: 1, "b": "é".b)
    { row: row, encoded: Base64.strict_encode64("a"), took: Benchmark.realtime { 1 }.class.name, open: OpenStruct.new(a: 1).a,
      own: (Base64::OWN rescue "Ruby's"), level: Logger::INFO, digest: Digest::SHA256.hexdigest("a")[0, 6] }
  end
end
`

// Newer Rubies bring ever more of their library as gems, which a Gemfile hides.
// Whatever the Gemfile names, the handlers find the same, and nothing warns. A
// version that the Gemfile names is the one that is loaded.
func TestGemfiles(t *testing.T) {
	t.Parallel()
	own := `Gem::Specification.new { |s| s.name = "base64"; s.version = "99.9"; s.summary = "-"; s.authors = ["-"]; s.files = ["lib/base64.rb"] }`
	files := map[string]string{
		"t.yaml": one("Library"), "handlers/library.rb": library,
		"empty/Gemfile":          "",
		"own/Gemfile":            `gem "base64", path: "gem"`,
		"own/gem/base64.gemspec": own,
		"own/gem/lib/base64.rb":  "module Base64; OWN = 'its own'; def self.strict_encode64(_) = 'own'; end\n",
	}
	for _, c := range []struct{ name, gemfile, encoded, own string }{
		{"None", "", "YQ==", "Ruby's"},
		{"Empty", "empty/Gemfile", "YQ==", "Ruby's"},
		{"WithAVersionOfItsOwn", "own/Gemfile", "own", "its own"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, files)
			p.env = []string{"RUBYOPT=-w"}
			args := []string{"run", "t.yaml", "--output", "json"}
			if c.gemfile != "" {
				args = append(args, "--gemfile", c.gemfile)
			}
			r := p.run(args...)
			require.Zero(t, r.code, r.stderr)
			require.NotContains(t, r.stderr, "warning")
			require.Contains(t, r.stderr, "only | names a=1 b=é\n")
			var task struct {
				Steps []struct{ Results json.RawMessage }
			}
			require.NoError(t, json.Unmarshal([]byte(r.stdout), &task))
			require.JSONEq(t, `{"row": {"j": {"a": 2, "b": "é"}, "n": "1.5", "twice": {"k": 2}}, "encoded": "`+c.encoded+`", "took": "Float",
				"open": 1, "own": "`+c.own+`", "level": 1, "digest": "ca9781"}`, string(task.Steps[0].Results))
		})
	}
}

// The place of an error is the nearest line of the user's, and not one of Ruby's
// own that are written in Ruby.
func TestPlaceOfAnError(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"number.yaml": one("Number"), "feature.yaml": strings.Replace(one("Feature"), "one", "two", 1), "Gemfile": "",
		"handlers/number.rb":  "class Number < Tasker::StepHandler::Base\n  def process(*)\n    Float(\"one\")\n  end\nend\n",
		"handlers/feature.rb": "class Feature < Tasker::StepHandler::Base\n  def process(*)\n    begin\n      require \"no_such_feature\"\n    rescue LoadError\n      raise \"none\"\n    end\n  end\nend\n",
	})
	r := p.run("run", "number.yaml")
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	require.Regexp(t, `ArgumentError: invalid value for Float\(\): "one"\n +from \S*handlers/number\.rb:3:in `, r.stdout)
	require.NotContains(t, r.stdout+r.stderr, "<internal:")

	r = p.run("run", "feature.yaml", "--gemfile", "Gemfile")
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	require.Regexp(t, `RuntimeError: none\n +from \S*handlers/feature\.rb:6:in `, r.stdout)
	require.NotContains(t, r.stdout+r.stderr, "<internal:")
	require.NotContains(t, r.stdout+r.stderr, "bundled_gems")
}

// Users name the gem tasker-host in their Gemfile, for their unit tests. Inside the
// program its copy is never loaded, whatever version it has.
func TestGemfileWithTheGemOfTheAPI(t *testing.T) {
	t.Parallel()
	p := newProject(t, map[string]string{
		"t.yaml":                               one("Pay"),
		"handlers/pay.rb":                      "require \"tasker-host\"\nclass Pay < Tasker::StepHandler::Base\n  def process(*) = { rows: Tasker.db.exec(\"SELECT 1 AS n\").to_a, limit: Tasker::VERSION.size < 20, core: defined?(TaskerCore) }\nend\n",
		"Gemfile":                              `gem "tasker-host", path: "gem"`,
		"gem/tasker-host.gemspec":              `Gem::Specification.new { |s| s.name = "tasker-host"; s.version = "99.9"; s.summary = "-"; s.authors = ["-"]; s.files = [] }`,
		"gem/lib/tasker-host.rb":               "require \"tasker\"\n",
		"gem/lib/tasker.rb":                    "raise 'the copy of the gem was loaded'\n",
		"gem/lib/tasker/db.rb":                 "raise 'the copy of the gem was loaded'\n",
		"gem/lib/tasker/compat/tasker_core.rb": "raise 'the copy of the gem was loaded'\n",
	})
	r := p.run("run", "t.yaml", "--gemfile", "Gemfile", "--require", "tasker/compat/tasker_core", "--output", "json")
	require.Zero(t, r.code, r.stdout+r.stderr)
	require.Contains(t, r.stdout, `"core": "constant"`)
}
