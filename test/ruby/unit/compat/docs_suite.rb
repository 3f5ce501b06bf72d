# frozen_string_literal: true

require_relative "helper"
require "tasker/absent_names"
require_relative "docs_names"
require "tasker/compat/rails"

# Each row of the tables in docs/from-tasker-engine.md and docs/from-tasker-core.md.
class DocsSuite < Minitest::Test
  # The checks of the rows that say more than names, by their first cells.
  CHECKS = {
    "what `Api#process` returns" => lambda do
      require "faraday"
      response = Faraday::Response.new(Faraday::Env.from(status: 200, response_headers: { "Content-Type" => "application/json" }, response_body: '{"n":1}'))
      results = run_step(Class.new(Tasker::StepHandler::Api) { define_method(:process) { |*| response } }, config: { url: "http://127.0.0.1" })
      assert_equal [200, { "n" => 1 }], results.values_at("status", "body")
      assert_equal %w[body headers status], results.keys.sort
    end,
    "an exception in `process`" => lambda do
      # Go decides it by the classes that the report names.
      assert_equal "NameError", report(Class.new(Tasker::StepHandler::Base) { def process(*) = nothing_of_that_name })["class"]
    end,
    "`attempts` in a handler" => lambda do
      assert_equal 1, run_step(Class.new(Tasker::StepHandler::Base) { def process(_task, _sequence, step) = step.attempts })
    end,
    '`require_relative ".../lib/tasker/errors"` and other files of tasker-engine' => lambda do
      refute Tasker::Compat::ReplacedFiles.include?("/an/application/lib/tasker/errors.rb")
      Dir.mktmpdir do |dir|
        FileUtils.mkdir_p("#{dir}/lib/tasker")
        FileUtils.touch("#{dir}/lib/tasker/engine.rb")
        assert Tasker::Compat::ReplacedFiles.include?("#{dir}/lib/tasker/errors.rb")
      end
    end,
    "`StepHandlerCallResult.checkpoint_yield`" => lambda do
      yielding = core { def call(_context) = TaskerCore::Types::StepHandlerCallResult.checkpoint_yield(cursor: 1, items_processed: 2) }
      assert_equal [true, "UNSUPPORTED"], report(yielding).values_at("permanent", "error_code")
    end,
    "the superclasses of `Errors`" => lambda do
      assert_same Tasker::Error, TaskerCore::Errors::Error
      assert_equal [TaskerCore::Errors::ProceduralError] * 2, [TaskerCore::Errors::PermanentError, TaskerCore::Errors::RetryableError].map(&:superclass)
      assert_operator Tasker::PermanentError, :===, TaskerCore::Errors::PermanentError.new("x")
      assert_operator Tasker::RetryableError, :===, TaskerCore::Errors::RetryableError.new("x")
    end,
    "what a block returns" => lambda do
      returned = { { a: 1 } => { "a" => 1 }, nil => {}, Struct.new(:n).new(2) => { "n" => 2 } }
      returned.each_value.with_index do |results, i|
        assert_equal results, run_step(block("docs.returns#{i}") { returned.keys[i] })
      end
      said = logged(level: :warn) { assert_empty run_step(block("docs.other") { Object.new }) }
      assert_match(/WARN/, said)
    end,
    "what a block raises" => lambda do
      raising = block("docs.raises") { raise KeyError, "none" }
      assert_equal ["KeyError", "none"], report(raising).values_at("class", "message")
      assert_equal [false, "none"], [raising.new.call(nil).success?, raising.new.call(nil).message]
    end,
    "`StepHandler::Decision`, `Batchable`, their mixins, `decision_handler`, `batch_analyzer`, `batch_worker`" => lambda do
      functional = TaskerCore::StepHandler::Functional
      [Class.new(TaskerCore::StepHandler::Decision), Class.new(TaskerCore::StepHandler::Batchable),
       core { include TaskerCore::StepHandler::Mixins::Decision }, core { include TaskerCore::StepHandler::Mixins::Batchable },
       functional.decision_handler("docs.decide") { nil }, functional.batch_analyzer("docs.batch", worker_template: "w") { nil },
       functional.batch_worker("docs.work") { nil }].each { |handler| assert_match(/makes no steps at run time/, refused(handler)) }
    end,
    "`publishes_events` of a step" => lambda do
      # A real task in task_events_test.go shows when; this shows that a step's document has them.
      sequence = Tasker::Testing.sequence(step: { publishes_events: [{ name: "order.paid" }] })
      declared = TaskerCore::Types::StepContext.new(sequence).step_definition.publishes_events

      assert_equal(["order.paid"], declared.map { |event| event[:name] })
    end,
    '`require_relative ".../lib/tasker_core/errors"` and other files of the gem' => lambda do
      assert Tasker::Compat::ReplacedFiles.include?("/gem/lib/tasker_core/errors.rb")
      refute Tasker::Compat::ReplacedFiles.include?("/gem/lib/tasker_core/of_my_own.rb")
    end
  }.freeze

  # What the names that begin so need, and may be missing on this machine.
  GEMS = { "::ActiveSupport" => "activesupport", "::Time.current" => "activesupport", "::ActiveRecord" => "activerecord", "Api" => "faraday" }.freeze

  ROWS = DocsNames::ROOTS.keys.flat_map { |file| DocsNames.rows(file) }.freeze

  def block(name, &body) = TaskerCore::StepHandler::Functional.step_handler(name) { |context:| instance_exec(context, &body) }

  def self.slug(row) = row.cell.delete("`").gsub(/\W+/, "_")[0, 60]

  ROWS.each_with_index do |row, i|
    define_method(:"test_#{row.file.tr("-.", "__")}_row_#{i}_#{slug(row)}") do
      gem = GEMS.find { |start, _| row.cell.match?(/`(?:\w+::)*#{Regexp.escape(start)}\b/) }&.last
      assert_path_exists Gem::Specification.find_by_name(gem).gem_dir, "make test/setup installs it" if gem
      require "active_record" if gem == "activerecord"
      check = CHECKS[row.cell]
      return instance_exec(&check) if check

      assert row.plain?, "#{row} has more than names: it needs a check in CHECKS"
      assert row.verdict, "#{row}: #{row.says.inspect} has to begin with works, differs or absent"
      wrong = row.wrong.map { |scope, name| [scope, name].compact.join(" ") }
      assert_empty wrong, "#{row}: #{row.verdict}, says the row"
    end
  end

  # Hints and doctor would tell people to do without what is there.
  def test_what_is_said_to_be_absent_is_absent
    there = Tasker::AbsentNames::CONSTANTS.keys.select { |name| Object.const_defined?(name) } - %w[TaskerCore::Registry TaskerCore::Worker]

    assert_empty there
    Tasker::AbsentNames::METHODS.each do |receiver, names|
      names.each_key { |name| refute_respond_to Object.const_get(receiver), name } if Object.const_defined?(receiver)
    end
  end

  def test_there_are_rows_of_each_kind
    DocsNames::ROOTS.each_key do |file|
      assert_equal %w[absent differs works], ROWS.select { |row| row.file == file }.map(&:verdict).compact.uniq.sort, file
    end
  end

  def test_no_check_is_of_a_row_that_is_gone
    assert_empty CHECKS.keys - ROWS.map(&:cell)
  end

  # A row of each kind that is wrong.
  def test_the_rows_can_be_wrong
    wrong = { ["`StepHandler::Base`: `process`, `perform`", "works"] => ["perform"], ["`StepHandler::Nothing`: `process`", "works"] => ["process"],
              ["`Sequence`: `find_step_by_name`", "absent"] => ["find_step_by_name"], ["`Telemetry`, `Task`", "absent"] => ["Task"],
              ["`HandlerFactory.instance`: `get`, `none`", "works"] => ["none"], ["`HandlerFactory.none`, `Task#context`", "works"] => ["HandlerFactory.none"],
              ["`::Integer#none`, `::String`", "differs"] => ["::Integer#none"] }
    wrong.each { |(cell, says), names| assert_equal names, DocsNames::Row.new("from-tasker-engine.md", cell, says).wrong.map(&:last), cell }
    refute DocsNames::Row.new("from-tasker-engine.md", "what `process` returns", "works").plain?
  end
end
