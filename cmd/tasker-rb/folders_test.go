package main

import (
	"encoding/json"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// A folder as tasker-engine's users have them: a template with a task handler, models, a
// mock outside the folder, and files that take Rails for granted.
var engineFolder = map[string]string{
	"tickets/config/book.yaml": `name: book
namespace_name: theatre
version: 1.0.0
module_namespace: Theatre
task_handler_class: Booking
default_dependent_system: box_office
named_steps: [hold, pay]
schema: {type: object, required: [seat], properties: {seat: {type: string}, cents: {type: integer, default: 1500}}}
step_templates:
  - {name: hold, handler_class: Theatre::HoldSeat}
  - {name: pay, handler_class: Theatre::Pay, depends_on_step: hold, handler_config: {fee: 50}}
`,
	"tickets/task_handler/booking.rb": "module Theatre\n  class Booking < Tasker::ConfiguredTask\n  end\nend\n",
	"tickets/models/seat.rb": `module Theatre
  class Seat
    include ActiveModel::Model
    attr_accessor :row, :number
    validates :row, presence: true
  end
end
`,
	"tickets/step_handlers/hold_seat.rb": `require_relative "../../engine/lib/tasker/errors"
module Theatre
  class HoldSeat < Tasker::StepHandler::Base
    def process(task, _sequence, _step)
      row, number = task.context.deep_symbolize_keys[:seat].split("-")
      seat = Seat.new(row: row, number: number)
      raise Tasker::PermanentError.new(seat.errors.full_messages.to_sentence, error_code: "SEAT") unless seat.valid?

      log_performance_event(:hold, 0.01.seconds.to_f, seat: number)
      { seat: seat.number, until: 15.minutes.from_now.future?, row: seat.row.presence }
    end
  end
end
`,
	"tickets/step_handlers/pay.rb": `module Theatre
  class Pay < Tasker::StepHandler::Base
    def process(task, sequence, _step)
      held = sequence.find_step_by_name("hold").results.deep_symbolize_keys
      MockBank.charge(task.context["cents"] + config[:fee], held[:seat])
    end

    def process_results(step, output, _initial_results)
      step.results = output.with_indifferent_access.slice(:charged, :seat).merge(env: Rails.env.to_s)
    end
  end
end
`,
	"spec/support/mock_bank.rb":   "class MockBank\n  def self.charge(cents, seat) = { charged: cents, seat: seat, at: Time.current }\nend\n",
	"engine/lib/tasker/engine.rb": "raise 'it needs Rails'\n",
	"engine/lib/tasker/errors.rb": "raise 'it is not to be loaded'\n",
}

// A folder as Tasker Core's users have them: a class and a block, of one file each.
var coreFolder = map[string]string{
	"parcels.yaml": `name: send
namespace_name: parcels
version: 1.0.0
input_schema: {type: object, required: [weight], properties: {weight: {type: number}}}
steps:
  - {name: weigh, handler: {callable: Parcels::StepHandlers::WeighHandler}}
  - {name: label, handler: {callable: parcels.label}, dependencies: [weigh]}
`,
	"app/handlers/weigh_handler.rb": `require "tasker_core/step_handler"
module Parcels
  module StepHandlers
    class WeighHandler < TaskerCore::StepHandler::Base
      def call(context)
        weight = context.get_input("weight")
        raise TaskerCore::Errors::PermanentError.new("no weight", error_code: "WEIGHT") if weight.blank? || weight.zero?

        success(result: { class: weight > 2 ? "large" : "small", due: 2.days.from_now.future? }, metadata: { operation: "weigh" })
      rescue Tasker::PermanentError => e
        failure(message: e.message.upcase, error_code: e.error_code)
      end
    end
  end
end
`,
	"app/handlers/label.rb": `require "tasker_core"
include TaskerCore::StepHandler::Functional
step_handler("parcels.label", depends_on: { weighed: "weigh" }, inputs: [:weight]) do |weighed:, weight:|
  { label: "#{weighed["class"].titleize} #{weight}" }
end
`,
}

// haveRailsGems says what is missing, if make test/setup has not run.
func haveRailsGems(t *testing.T) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ruby", "-e", `require "logger"; require "active_support/all"; require "active_model"`).CombinedOutput()
	require.NoError(t, err, "make test/setup installs the gems: %s", out)
}

func resultsOf(t *testing.T, stdout string) []string {
	t.Helper()
	var task struct {
		Steps []struct{ Results json.RawMessage }
	}
	require.NoError(t, json.Unmarshal([]byte(stdout), &task), stdout)
	all := make([]string, len(task.Steps))
	for i, step := range task.Steps {
		all[i] = string(step.Results)
	}
	return all
}

// docs/from-tasker-engine.md says that such a folder runs as it is.
func TestAFolderOfTaskerEngine(t *testing.T) {
	t.Parallel()
	haveRailsGems(t)
	p := newProject(t, engineFolder)
	p.env = []string{"RAILS_ENV=staging"}
	run := []string{
		"run", "tickets/config/book.yaml", "--handlers", "tickets", "--require", "tasker/compat/rails", "--require", "./spec/support/mock_bank.rb",
		"--output", "json", "--context",
	}

	r := p.run(append(run, `{"seat": "F-12"}`)...)
	require.Zero(t, r.code, r.stderr)
	results := resultsOf(t, r.stdout)
	require.JSONEq(t, `{"seat": "12", "row": "F", "until": true}`, results[0])
	require.JSONEq(t, `{"charged": 1550, "seat": "12", "env": "staging"}`, results[1])
	require.NotContains(t, r.stderr, "warning")

	r = p.run(append(run, `{"seat": "-12"}`)...)
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	require.Contains(t, r.stdout, "Row can't be blank")
}

// docs/from-tasker-core.md says that such a folder runs as it is.
func TestAFolderOfTaskerCore(t *testing.T) {
	t.Parallel()
	haveRailsGems(t)
	p := newProject(t, coreFolder)
	run := []string{"run", "parcels.yaml", "--handlers", "app/handlers", "--require", "tasker/compat/tasker_core", "--output", "json", "--context"}

	r := p.run(append(run, `{"weight": 2.5}`)...)
	require.Zero(t, r.code, r.stderr)
	results := resultsOf(t, r.stdout)
	require.JSONEq(t, `{"class": "large", "due": true}`, results[0])
	require.JSONEq(t, `{"label": "Large 2.5"}`, results[1])

	r = p.run(append(run, `{"weight": 0}`)...)
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	require.Contains(t, r.stdout, "NO WEIGHT")

	// A Gemfile without ActiveSupport hides it. The layer says nothing, and the handler's
	// error says what is missing.
	p.write(map[string]string{"Gemfile": ""})
	r = p.run(append(run, `{"weight": 3}`, "--gemfile", "Gemfile")...)
	require.Equal(t, exitTaskFailed, r.code, r.stderr)
	require.Contains(t, r.stdout, "blank? is a method of ActiveSupport")
	require.NotContains(t, r.stderr, "active_support/all is not installed")
}

// What the layers load of ActiveSupport is loaded whole: a step must not be the first to
// name a part of it.
func TestLayersLeaveNoAutoloadToSteps(t *testing.T) {
	t.Parallel()
	haveRailsGems(t)
	for _, layer := range []string{"tasker/compat/rails", "tasker/compat/tasker_core"} {
		p := newProject(t, nil)
		r := p.run("ruby", "--require", layer, "-e", `print [:MessageVerifier, :NumberHelper, :OrderedOptions].map { |name| ActiveSupport.autoload?(name).inspect }.join(" ")`)
		require.Zero(t, r.code, r.stderr)
		require.Equal(t, "nil nil nil", r.stdout, layer)
	}
}
