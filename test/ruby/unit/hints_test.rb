# frozen_string_literal: true

require_relative "helper"
require "tempfile"

# What errors say beside Ruby's own message.
class HintsTest < Minitest::Test
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

  def test_a_hostile_error_keeps_its_message
    lying = Class.new(NameError) { def name = raise("no") }
    assert_equal "x", Tasker::Execution.describe(lying.new("x"))["message"]
    broken = NameError.new("y", :Rails)
    def broken.name = raise("no")
    assert_equal "y", Tasker::Execution.describe(broken)["message"]
  end
end
