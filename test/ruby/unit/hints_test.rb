# frozen_string_literal: true

require_relative "helper"
require "tempfile"

# What errors say beside Ruby's own message.
class HintsTest < Minitest::Test
  parallelize_me!

  # Each runs in a Ruby without ActiveSupport and Rails.
  def messages(*bodies, first: "")
    script = "require 'tasker'\n#{first}\n" + bodies.map do |body|
      "begin\n#{body}\nrescue Exception => e\n  puts Tasker::Execution.describe(e)['message'].tr(\"\\n\", ' ')\nend\n"
    end.join
    out, ok = ruby(script)
    assert ok, out
    out.lines.reject { |line| line.include?("warning:") }
  end

  def test_methods_of_active_support
    said = messages("nil.blank?", "''.present?", "Time.current", "Date.yesterday", "3.days", "{}.deep_symbolize_keys", "[].index_by { 1 }", "Time.now.beginning_of_day",
                    "'x'.squish")
    names = %w[blank? present? Time.current Date.yesterday days deep_symbolize_keys index_by beginning_of_day squish]

    said.zip(names) do |line, name|
      assert_includes line, "#{name} is a method of ActiveSupport: require \"active_support/all\" in a handler file, or give --require active_support/all"
    end
    assert_equal names.size, said.size
  end

  def test_other_methods_have_no_hint
    messages("nil.upcase", "Object.new.days", "1.current", "Object.current", "raise NoMethodError, 'blank?'").each { |line| refute_match(/ActiveSupport/, line) }
  end

  def test_constants
    said = messages("TaskerCore::StepHandler::Base", "module Deep; TaskerCore; end", "Rails.logger", "ActiveSupport", "ApplicationRecord", "Nowhere")

    2.times { |i| assert_match(%r{uninitialized constant (Deep::)?TaskerCore\b.*require "tasker/compat/tasker_core"}, said[i]) }
    assert_match(%r{Rails\b.*require "tasker/compat/rails"}, said[2])
    assert_match(%r{require "active_support/all"}, said[3])
    assert_match(%r{require "tasker/active_record"}, said[4])
    assert_match(/uninitialized constant Nowhere(?!.*require)/, said[5])
  end

  # Those that tasker-rb loads by itself have no hint, for they are there.
  def test_the_parts_of_rubys_library
    features = { "CSV" => "csv", "Net::HTTP" => "net/http", "OpenSSL" => "openssl", "YAML" => "yaml", "StringIO" => "stringio", "Zlib" => "zlib", "Open3" => "open3",
                 "Forwardable" => "forwardable", "Observable" => "observer", "Shellwords" => "shellwords", "Matrix" => "matrix", "TSort" => "tsort" }
    said = messages(*features.keys.map { |name| "raise NameError.new('it', :#{name[/\w+/]})" }, *%w[Set SecureRandom Date BigDecimal URI Digest Tempfile Timeout ERB Singleton])

    features.values.zip(said) { |feature, line| assert_includes line, "it is of Ruby's library: require \"#{feature}\"" }
    assert_equal features.size, said.size, "the others are there"
    assert_match(/require "csv"; since Ruby 3.4 it is a gem/, said.first)
    refute_match(/gem/, said[1])
  end

  def test_every_part_can_be_required
    Tasker::Hints.send(:const_get, :LIBRARY).each_value do |feature|
      found = $LOAD_PATH.resolve_feature_path(feature) || Gem::Specification.find_by_path(feature)
      assert found || Tasker::Hints.send(:const_get, :GEMS).key?(feature), feature
    end
  end

  def test_what_the_layers_do_not_have
    assert_match(%r{tasker/compat/tasker_core has no TaskerCore::StepHandler::Nothing}, messages("TaskerCore::StepHandler::Nothing", first: "require 'tasker/compat/tasker_core'").first)
    assert_match(%r{require "tasker/compat/tasker_core"}, messages("TaskerCore::StepHandler", first: "module TaskerCore; end").first)
    assert_match(%r{tasker/compat/rails has no Rails.routes}, messages("Rails.routes", first: "require 'tasker/compat/rails'").first)
  end

  def test_features
    said = messages("require 'tasker_core'", "require 'rails'", "require 'no_such_thing'", "require 'tasker_core/step_handler'")

    assert_match(%r{cannot load such file -- tasker_core.*require "tasker/compat/tasker_core"}, said[0])
    assert_match(%r{-- rails.*require "tasker/compat/rails"}, said[1]) unless Gem::Specification.find_all_by_name("rails").any?
    assert_match(/no_such_thing$/, said[2])
    assert_match(%r{require "tasker/compat/tasker_core"}, said[3])
  end

  def test_syntax_of_a_newer_ruby
    error = SyntaxError.new("a.rb:1: syntax error, unexpected ')'\ndef a(**) = b(1, **)\n")

    assert_equal "an anonymous * or ** as an argument needs Ruby 3.2, and this is 3.1.2", Tasker::Hints.of(error, ruby: "3.1.2")
    assert_nil Tasker::Hints.of(error, ruby: "3.2.0")
    assert_nil Tasker::Hints.of(error, ruby: "3.10.0")
    assert_nil Tasker::Hints.of(SyntaxError.new("a.rb:1: syntax error, unexpected end\n"), ruby: "3.1.2")
    assert_match(/Data needs Ruby 3\.2/, Tasker::Hints.of(NameError.new("x", :Data), ruby: "3.1.2"))
  end

  def test_syntax_of_a_newer_ruby_on_a_line_of_its_own
    { "  b(\n    a: 1,\n    **\n  )\n" => true, "  b(\n    1, *\n  )\n" => true, "  b(\n    2 **\n  )\n" => false, "  b(\n    1,\n  )\n" => false }.each do |call, newer|
      Tempfile.create(["call", ".rb"]) do |file|
        file.write("def a(*, **)\n#{call}end\n")
        file.close
        place = call.lines.size + 1
        said = Tasker::Hints.of(SyntaxError.new("#{file.path}:#{place}: syntax error, unexpected ')'\n  )\n  ^\n"), ruby: "3.1.2")

        newer ? assert_match(/needs Ruby 3\.2/, said, call) : assert_nil(said, call)
      end
    end
    assert_nil Tasker::Hints.of(SyntaxError.new("/none.rb:3: syntax error, unexpected ')'\n"), ruby: "3.1.2")
  end

  def test_a_steps_results_are_meant
    steps = 'require "tasker/execution"; S = Tasker::Testing.sequence(results: { one: { v: 1 } })'
    said = messages('S["one"]["v"]', "S[:one].dig(:v, :w)", "S.current_step['v']", "S['one'].fetch", "S['one'].upcase", first: steps)

    assert_includes said[0], 'a step has no []: its results have, as in sequence["one"].results["v"]'
    assert_includes said[1], 'a step has no dig: its results have, as in sequence["one"].results.dig("v")'
    assert_includes said[2], 'as in step.results["v"]'
    assert_includes said[3], 'as in sequence["one"].results.fetch("name")'
    refute_includes said[4], "its results"
  end

  def test_active_record_without_a_connection
    classes = "module ActiveRecord; class ConnectionNotEstablished < StandardError; end; class ConnectionNotDefined < ConnectionNotEstablished; end; end"
    said = messages("raise ActiveRecord::ConnectionNotEstablished, \"No connection pool for 'ActiveRecord::Base' found.\"",
                    "raise ActiveRecord::ConnectionNotDefined, 'No database connection defined.'",
                    "raise ActiveRecord::ConnectionNotEstablished, 'connection refused'", first: classes)

    said.first(2).each { |line| assert_includes line, 'require "tasker/active_record" in a handler file, and then write ActiveRecord::Base.establish_connection adapter: "tasker"' }
    refute_includes said[2], "require"
  end

  def test_a_model_of_sequel_without_a_database
    said = messages("raise Sequel::Error, 'No database associated with Sequel::Model: have you called Sequel.connect or Sequel::Model.db= ?'",
                    "raise Sequel::Error, 'another'", first: "module Sequel; class Error < StandardError; end; end")

    assert_includes said[0], 'require "tasker/sequel", and then write Sequel::Model.db = Tasker.sequel, in a file that the files of models require'
    refute_includes said[1], "require"
  end

  # An error of the handler's own class is left alone, whatever its methods do.
  def test_a_missed_step_asks_no_hostile_error
    head = { workflow_step_id: 1, name: "own", attempts: 1, parents: [], children: [] }
    heads = [head, head.merge(name: "other", workflow_step_id: 2)]
    segments = [{ task_id: 1 }, {}, head, {}, heads].map { |v| JSON.generate(v) } + [""]
    mean = Class.new(TypeError) { def message = exit(9) }
    raised = lambda do |&body|
      klass = Class.new(Tasker::StepHandler::Base) { define_method(:process) { |_task, sequence, _step| body.call(sequence) } }
      assert_raises(StandardError) { Tasker::Execution.run(klass, segments.dup) }
    end

    assert_instance_of mean, raised.call { |sequence| sequence[:othre] || raise(mean) }
    said = ->(error) { Tasker::Execution.describe(error)["message"] }
    assert_includes said.(raised.call { |sequence| sequence[:othre].results }), 'there is no step "othre"; did you mean "other"? the steps are own, other'
    assert_includes said.(raised.call { |sequence| 1 + sequence[:other].results["n"] }), "step own does not depend on step other"
    assert_includes said.(raised.call { |sequence| sequence[:other].results.fetch("n") }), "step own does not depend on step other"
    refute_includes said.(raised.call { |sequence| sequence[:other].results.upcase }).lines.last, "does not depend", "the receiver is no nil"
    refute_includes said.(raised.call { |_| nil.upcase }).lines.last, "there is no"
  end

  def test_a_hostile_error_keeps_its_message
    lying = Class.new(NameError) { def name = raise("no") }
    assert_equal "x", Tasker::Execution.describe(lying.new("x"))["message"]
    broken = NameError.new("y", :Rails)
    def broken.name = raise("no")
    assert_equal "y", Tasker::Execution.describe(broken)["message"]
  end
end
