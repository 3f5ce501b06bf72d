package rubysteps_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tasker-rb/tasker-rb/orchestration"
	"github.com/tasker-rb/tasker-rb/templates"
)

// An error in the code ends a step at once; what it met is tried again.
func TestProgrammingErrors(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	const once, twice = 1, 2
	for i, c := range []struct {
		name, body, class string
		attempts          int
	}{
		{"NameError", "no_such_name", "NameError", once},
		{"NoMethodError", "nil.results", "NoMethodError", once},
		{"AConstant", "NoSuchConstant", "NameError", once},
		{"NotImplemented", "raise NotImplementedError", "NotImplementedError", once},
		{"LoadError", "require 'no_such_file'", "LoadError", once},
		{"SyntaxError", "eval('1 +')", "SyntaxError", once},
		{"ASubclass", "raise Class.new(NameError), 'x'", "NameError", once},
		{"ItsOwnErrorBecauseOfOne", "begin; no_such_name; rescue NameError; raise 'not now'; end", "RuntimeError", twice},
		{"ArgumentError", "Integer('x')", "ArgumentError", twice},
		{"KeyError", "{}.fetch(:a)", "KeyError", twice},
		{"AMissingTable", "Tasker.db.exec('SELECT * FROM nowhere')", "Tasker::SQLError::UndefinedTable", once},
		{"AMissingColumn", "Tasker.db.exec('SELECT nothing FROM pg_class')", "Tasker::SQLError::UndefinedColumn", once},
		{"AWrongStatement", "Tasker.db.exec('SELEC')", "Tasker::SQLError::SyntaxError", once},
		{"TooFewParameters", "Tasker.db.exec('SELECT $1', [])", "Tasker::SQLError::ProtocolViolation", once},
		{"TooManyParameters", "Tasker.db.exec('SELECT 1', [1])", "Tasker::SQLError::ProtocolViolation", once},
		{"TooFewParametersOfSequel", "Tasker.sequel.execute('SELECT $1::int, $2::int', arguments: [1])", "Sequel::DatabaseError", once},
		{"TooFewParametersOfPG", "Tasker.sequel.synchronize { |c| c.exec_params('SELECT $1::int, $2::int', [1]) }", "PG::ProtocolViolation", once},
		{"AWrongValue", "Tasker.db.exec('SELECT 1/0')", "Tasker::SQLError::DataException", twice},
		{"AMissingTableOfSequel", "Tasker.sequel[:nowhere].all", "Sequel::DatabaseError", once},
		{"AWrongValueOfSequel", "Tasker.sequel.run('SELECT 1/0')", "Sequel::DatabaseError", twice},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			class := fmt.Sprintf("Programming%d", i)
			ruby(t, "$programming ||= {}; class "+class+"\ndef process(*)\n"+c.body+"\nrescue Exception => e\n"+
				"$programming[self.class.name] = Tasker::Execution::ProgrammingErrors.reported?(Tasker::Execution.describe(e))\nraise\nend\nend")
			for _, retried := range []bool{false, true} {
				attempts := c.attempts
				if retried {
					attempts = twice
				}
				template, err := templates.Parse(fmt.Appendf(nil, "name: programming%d%t\nstep_templates:\n  - {name: only, handler_class: %s, default_retry_limit: 2, backoff: {curve: none}, retry_programming_errors: %t}\n",
					i, retried, class, retried), "t.yaml")
				require.NoError(t, err)
				s, err := d.engine.Submit(t.Context(), orchestration.Submission{Template: template, Context: json.RawMessage("{}")})
				require.NoError(t, err)
				step := d.finish(t, s.TaskID).Steps[0]
				require.Equal(t, orchestration.StepInError, step.State)
				require.Equal(t, c.class, step.Last().Err.Class, step.Last().Err)
				require.Equal(t, attempts, step.Attempts, "retry_programming_errors: %t", retried)
				require.Equal(t, attempts == once, step.Last().Err.Permanent)
			}
			said, err := host.Eval(t.Context(), fmt.Sprintf("$programming.fetch(%q)", class), "said.rb")
			require.NoError(t, err)
			require.Equal(t, fmt.Sprint(c.attempts == once), string(said), "Ruby has the same rule")
		})
	}
}
