# frozen_string_literal: true

require_relative "survey_helper"

# What `tasker-rb doctor` says of the lines of handlers.
class SurveyTest < Minitest::Test
  # The body of process, with what is said of it: a text for each problem, in the order of
  # the lines. An empty list says that nothing is.
  BODIES = {
    "reads" => ["x = task.context[:a]\ny = x.merge(b: 1)\ny[:c] = task.context.fetch(:d)\n{ x: y }", []],
    "assigns" => ["task.context[:own1] = 1", [/\A4 warning: no other step sees this write to task\.context \| Return it as results/]],
    "merges" => ["task.context.merge!(a: 1)", [/\A4 warning: no other step sees/]],
    "stores" => ["task.context.store(:own2, 1)", [/\A4 warning: no other step sees/]],
    "deletes" => ["task.context.delete(:own3)", [/\A4 warning: no other step sees/]],
    "appends" => ["task.context[:items] << 1\ntask.context.dig(:box, :b).push(2)", [/\A4 warning: no other step sees/, /\A5 warning: no other step sees/]],
    "inner" => ["task.context[:order][:total] = 1\ntask.context.fetch(:order)['x'] += 1", [/\A4 warning: no other step sees/, /\A5 warning: no other step sees/]],
    "by another name" => ["c = task.context\nc[:own4] = 1\nc = {}\nc[:x] = 2", [/\A5 warning: no other step sees/]],
    "handed over" => ["fill(task.context, 1)\nread(task.context)\nend\n\ndef fill(data, by)\n  data[:own5] = by\n  data[:list] << by\nend\n\n" \
                      "def read(data) = data[:x]\n\ndef other(data)\n  data[:y] = 1", [/\A9 warning: no other step sees/, /\A10 warning: no other step sees/]],
    "a default" => ["task.context[:read_by_reader] ||= 1", [/\A4 warning: no other step sees/]],
    "a value that was there" => ["task.context[:amount] = task.context[:amount].to_i", [/\A4 warning: no other step sees/]],
    "for another" => ["task.context[:read_by_reader] = 1", [/\A4 error: no other step sees .*, and Reader at reader\.rb:3 reads "read_by_reader" \|/]],
    "another context" => ["context = { a: 1 }\ncontext[:b] = 2\nstep.results[:x] = 1", []],
    "exit" => ["exit", [/\A4 error: exit fails the step/]],
    "exit!" => ["exit!(1)", [/\A4 error: exit! is refused/]],
    "exec" => ["Kernel.exec('x')", [/\A4 error: exec is refused/]],
    "abort" => ["abort 'no'", [/\A4 error: abort fails the step/]],
    "fork" => ["fork", [/\A4 error: fork without a block/]],
    "a child" => ["Process.fork { 1 }", [/\A4 warning: the child of fork/]],
    "daemon" => ["Process.daemon", [/\A4 error: Process\.daemon is refused/]],
    "kill" => ["Thread.current.kill", [/\A4 error: ending the thread fails the step/]],
    "another thread" => ["Thread.new { 1 }.join\nthread = Thread.new { 2 }\nthread.kill", []],
    "trap" => ["Signal.trap('TERM') { 1 }\ntrap(:INT) { 2 }\ntrap('EXIT') { 3 }",
               [/\A4 warning: the host has the process's signals/, /\A5 warning: the host has/]],
    "at_exit" => ["at_exit { 1 }", [/\A4 warning: the at_exit block runs when the host ends/]],
    "debuggers" => ["binding.irb\nbinding.pry if step\ndebugger\nbyebug", [/\A4 warning: a debugger/, /\A5 warning/, /\A6 warning/, /\A7 warning/]],
    "engine's models" => ["Tasker::WorkflowStep.where(id: 1)\nTasker::NamedTask.first\nTasker::NamedTask.last",
                          [/\A4 error: Tasker::WorkflowStep has no method where \| a handler finds the steps of its task with/,
                           /\A5 error: uninitialized constant Tasker::NamedTask \| the template says it/]],
    "engine's parts" => ["Tasker::Orchestration::TaskInitializer.new", [/\A4 error: uninitialized constant Tasker::Orchestration \| the engine is no part/]],
    "an unknown part" => ["Tasker::Frobnicator", [/\A4 error: uninitialized constant Tasker::Frobnicator \| tasker-rb has no Tasker::Frobnicator\./]],
    "making tasks" => ["Tasker::Task.create!(name: 'x')", [/\A4 error: Tasker::Task has no method create! \| a handler is given its own task/]],
    "configuration" => ["Tasker.configuration.x", [/\A4 error: Tasker has no method configuration \| flags and templates/]],
    "records" => ["task.save!\nstep.save!\nsequence.steps.size\ntask.reload",
                  [/\A4 error: a task has no method save! \| The task is no ActiveRecord model/, /\A5 error: a step has no method save!/,
                   /\A7 error: a task has no method reload/]],
    "other variables" => ["[1].each { |step| step.price }\n->(task) { task.price }.call(1)\nsequence.each do |task|\n  task.price\nend\n" \
                          "step = 1\nstep.price", []],
    "a guard" => ["task.frob if task.respond_to?(:frob)\nFrob.new if defined?(Frob)\nbegin\n  Brof\nrescue NameError\n  1\nend", []],
    "a missing constant" => ["begin\n  Warehouse.new\nrescue Warehouse::Error => e\n  e\nend",
                             [/\A5 error: uninitialized constant Warehouse \| Define it in a file below/]],
    "Rails" => ["Rails.logger.info('x')", [%r{\A4 error: uninitialized constant Rails \| require "tasker/compat/rails"}]],
    "ActiveSupport" => ["x = task.context[:x]\nx.blank? || x.present?\n30.days\nTime.current\nx.blank?",
                        [/\A5 error: no object has the method blank\?; again in line 8 \| it is a method of ActiveSupport/, /\A5 error: .*present\?/,
                         /\A6 error: a number has no method days/, /\A7 error: Time has no method current/]],
    "Symbols" => ["task.context.deep_symbolize_keys\nstep.results.deep_symbolize_keys\nx = {}\nx.symbolize_keys",
                  [/\A5 error: results have no method deep_symbolize_keys/, /\A7 warning: only task\.context and config have the method symbolize_keys/]],
    "a script's end" => ["1\nend\nend\nif __FILE__ == $0\n  Nowhere.go\n  begin\n    exit", []]
  }.freeze
  READER = "class Reader < Tasker::StepHandler::Base\n  def process(task, _sequence, _step)\n    { x: task.context[:read_by_reader], y: task.context[:amount] }\n  end\nend\n"

  def source(index, body)
    "class Body#{index} < Tasker::StepHandler::Base\n  def process(task, sequence, step)\n    #{index}\n#{body.gsub(/^/, "    ")}\n  end\nend\n"
  end

  def test_the_lines_of_a_handler
    sources = BODIES.each_with_index.to_h { |(name, (body, _)), index| ["#{index}_#{name.gsub(/\W/, "_")}.rb", source(index, body)] }
    found = survey(sources.merge("reader.rb" => READER))
    # A thing that several files need is said once, so each of the table needs its own.
    BODIES.each_with_index do |(name, (_, expected)), index|
      texts = found.of(sources.keys[index])
      assert_equal expected.size, texts.size, "#{name}: #{texts.inspect}"
      expected.zip(texts).each { |pattern, text| assert_match pattern, text, name }
    end
    assert_equal BODIES.size + 1, found.handlers
    assert_equal [], found.of("reader.rb")
  end

  CORE = {
    "decision.rb" => ["class Route < TaskerCore::StepHandler::Decision\n  def call(context) = 1\nend\n",
                      [/\A1 error: Route is a decision point.* \| Let each branch/]],
    "batch.rb" => ["class Part < TaskerCore::StepHandler::Base\n  include TaskerCore::StepHandler::Mixins::Batchable\n  def call(context)\n" \
                   "    checkpoint_yield(cursor: 1)\n  end\nend\n", [/\A1 error: Part is part of a batch/, /\A4 error: tasker-rb does not have checkpoint_yield/]],
    "context.rb" => ["class Odd < TaskerCore::StepHandler::Base\n  def call(context)\n    context.get_input(:a)\n    context.frobnicate\n" \
                     "    context.task.context[:x] = 1\n  end\nend\n",
                     [/\A4 error: a context has no method frobnicate \| `tasker-rb docs handlers`/, /\A5 warning: no other step sees/]],
    "arity.rb" => ["class Two < TaskerCore::StepHandler::Base\n\n  def call(a, b) = 1\nend\n", [/\A3 error: Two#call has to take 1 argument, the context, or 3/]],
    "reads.rb" => ["extend TaskerCore::StepHandler::Functional\nstep_handler(\"shop.read\", inputs: %i[amount cent]) { |amount:, cent:| { a: amount + cent } }\n", []],
    "writes.rb" => ["class Writes < TaskerCore::StepHandler::Base\n  def call(context)\n    context.task.context[:cent] = 1\n  end\nend\n",
                    [/\A3 error: no other step sees this write to task\.context, and reads\.rb:2 reads "cent"/]],
    "decide.rb" => ["extend TaskerCore::StepHandler::Functional\n\ndecision_handler(\"shop.route\") { |context:| context.step_uuid }\n",
                    [/\A3 error: the handler "shop\.route" is a decision point.* \| Let each branch/]],
    "included.rb" => ["include TaskerCore::StepHandler::Functional\nCONFIG = -> { TaskerCore::StepHandler::Functional::BatchConfig }\n", []],
    "one.rb" => ["extend TaskerCore::StepHandler::Functional\n\nstep_handler(\"shop.pay\") { |context:| { a: context.step_uuid } }\n", []],
    "two.rb" => ["extend TaskerCore::StepHandler::Functional\nstep_handler(\"shop.pay\") { |context:| { b: context.oops } }\n",
                 [/\A2 warning: the handler "shop\.pay" is defined here, and at one\.rb:3 too \| A template cannot use it\./, /\A2 error: a context has no method oops/]],
    "publisher.rb" => ["class Pub < TaskerCore::DomainEvents::BasePublisher\nend\n", nil],
    "rails.rb" => ["class OnRails < TaskerCore::StepHandler::Base\n  def call(context)\n    Rails.logger.info(Rails.env)\n    Rails.autoloaders\n  end\nend\n",
                   [/\A4 error: Rails has no method autoloaders/]],
    "absent.rb" => ["class Uses < TaskerCore::StepHandler::Base\n  def call(context) = TaskerCore::Internal::OrchestrationManager.instance\nend\n",
                    [/\A2 error: uninitialized constant TaskerCore::Internal \| the engine is no part/]]
  }.freeze

  def test_the_lines_of_a_handler_for_tasker_core
    found = survey(CORE.transform_values(&:first), requires: %w[tasker/compat/tasker_core tasker/compat/rails])
    CORE.each do |file, (_, expected)|
      next unless expected

      texts = found.of(file)
      assert_equal expected.size, texts.size, "#{file}: #{texts.inspect}"
      expected.each { |pattern| assert(texts.any? { |text| text.match?(pattern) }, "#{file}: #{pattern.inspect} in #{texts.inspect}") }
    end
  end

  def test_active_support_that_is_loaded
    body = "x = task.context[:x]\nx.blank? || 3.days.from_now\nTime.current\nx.to_h.deep_symbolize_keys"
    assert_equal({}, survey({ "a.rb" => source(1, body) }, requires: ["active_support/all"]).problems)
  end

  def test_tasker_core_without_its_layer
    found = survey({ "a.rb" => "class A < TaskerCore::StepHandler::Base\nend\n", "b.rb" => "\nclass B < TaskerCore::StepHandler::Base\nend\n" })
    assert_equal [%(1 error: uninitialized constant TaskerCore; b.rb:2 needs it too | require "tasker/compat/tasker_core" in a handler file, ) +
                  "or give --require tasker/compat/tasker_core"], found.of("a.rb")
    assert_equal ["a.rb"], found.problems.keys
  end

  # The host warns of the same writes when it loads the files, from a search that must find
  # every file that has one.
  def test_the_host_finds_every_write_when_it_loads
    writes = BODIES.select { |_, (_, expected)| expected.any? { |pattern| pattern.source.include?("no other step sees") } }
    Dir.mktmpdir do |dir|
      writes.each_with_index { |(_, (body, _)), index| File.write(File.join(dir, "w#{index}.rb"), source(index, body)) }
      File.write(File.join(dir, "quiet.rb"), READER)
      out, done = ruby(<<~RUBY)
        require "logger"
        require "tasker"
        Tasker.module_eval("module Host; end")
        Tasker.logger = Logger.new($stdout, formatter: ->(*, text) { text + "\\n" })
        require "tasker/host/context_warnings"
        Tasker.const_get(:Host)::ContextWarnings.look(Dir[#{dir.inspect} + "/quiet.rb"])
        puts "ripper: \#{defined?(Ripper).inspect}"
        Tasker.const_get(:Host)::ContextWarnings.look(Dir[#{dir.inspect} + "/w*.rb"].sort_by { |file| File.basename(file)[/\\d+/].to_i })
      RUBY
      assert done, out
      quiet, *lines = out.lines
      assert_equal "ripper: nil\n", quiet
      wanted = writes.values.flat_map { |_, expected| expected.map { |pattern| pattern.source[/\d+/].to_i } }
      assert_equal(wanted, lines.map { |line| line[/:(\d+): no other step sees this write to task\.context; return it as results/, 1].to_i })
    end
  end
end
