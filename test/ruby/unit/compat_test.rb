# frozen_string_literal: true

require_relative "helper"

# Each runs in a Ruby of its own: what it requires must not be there for the
# other tests.
class CompatTest < Minitest::Test
  parallelize_me!

  def assert_script(script)
    out, ok = ruby("require 'tasker'\n#{script}")

    assert ok, out
    out
  end

  def test_the_older_names
    assert_equal '{"total":7,"from":1,"raw":{"result":{"n":1}},"k":2}', assert_script(<<~RUBY)
      require "tasker/compat/tasker_core"
      class Sum < TaskerCore::StepHandler::Base
        def call(task, sequence, step)
          TaskerCore::Types::StepHandlerCallResult.success(
            result: { total: task.context["a"] + 4, from: sequence.get_results("first")["n"],
                      raw: sequence.get("first"), k: config[:k] },
            metadata: { operation: "sum" }
          )
        end
      end
      Tasker.logger = Object.new.tap { |l| def l.debug = yield }
      print JSON.generate(Tasker::Testing.run(Sum, context: { a: 3 }, results: { first: { n: 1 } }, config: { k: 2 }))
    RUBY
  end

  def test_failures_by_their_older_names
    assert_script(<<~RUBY)
      require "tasker/compat/tasker_core"
      def outcome(&body)
        Tasker::Testing.run(Class.new(TaskerCore::StepHandler::Base) { define_method(:call) { |*| instance_exec(&body) } })
      rescue Tasker::Error => e
        report = Tasker::Execution.describe(e)
        report.values_at("class", "permanent", "error_code", "retry_after", "message")
      end
      def expect(wanted, got) = wanted == got || abort("wanted \#{wanted.inspect}, got \#{got.inspect}")

      expect ["TaskerCore::Errors::RetryableError", false, nil, 5.0, "later"],
             outcome { raise TaskerCore::Errors::RetryableError.new("later", retry_after: 5, error_category: "x") }
      expect ["TaskerCore::Errors::PermanentError", true, "E", nil, "never"],
             outcome { raise TaskerCore::Errors::PermanentError.new("never", error_code: "E") }
      expect ["TaskerCore::Errors::ValidationError", true, nil, nil, "bad"],
             outcome { raise TaskerCore::Errors::ValidationError.new("bad", field: "amount") }
      expect ["TaskerCore::Errors::PermanentError", true, "V1", nil, "no"],
             outcome { failure(message: "no", error_type: "ValidationError", error_code: "V1") }
      expect ["TaskerCore::Errors::RetryableError", false, nil, 9.0, "busy"],
             outcome { failure(message: "busy", error_type: "Timeout", retryable: true, metadata: { retry_after: 9 }) }
      expect ["TaskerCore::Errors::PermanentError", true, "Timeout", nil, "busy"],
             outcome { failure(message: "busy", error_type: "Timeout") }
      expect 3, outcome { success(result: 3) }
      expect 4, outcome { 4 }
    RUBY
  end

  def test_plain_classes_with_call
    assert_equal "5", assert_script(<<~RUBY)
      require "tasker/compat/tasker_core"
      class Plain
        def call(task, _sequence, _step) = TaskerCore::Types::StepHandlerCallResult.success(result: task.context[:a])
      end
      class Pair
        def call(task, step) = [task, step]
      end
      print Tasker::Testing.run(Plain, context: { a: 5 })
      begin
        Tasker::Execution.check(Pair)
        abort "a call with two arguments was let pass"
      rescue Tasker::HandlerError => e
        e.message.include?("3 arguments") or abort e.message
      end
    RUBY
  end

  def test_what_stands_in_for_rails
    out = assert_script(<<~RUBY)
      ENV["RAILS_ENV"] = "staging"
      require "tasker/compat/rails"
      require "stringio"
      require "logger"
      Tasker.logger = Logger.new($stdout, formatter: ->(_, _, _, text) { text })
      Rails.logger.info("logged ")
      print [Rails.env, Rails.env.staging?, Rails.env.production?, Rails.root.join("x").to_s == File.join(Dir.pwd, "x")].join(",")
      begin
        Rails.routes
      rescue NoMethodError
        print ",no routes"
      end
    RUBY
    assert_equal "logged staging,true,false,true,no routes", out
  end

  def test_a_rails_that_is_there_is_left_alone
    assert_equal "real", assert_script(<<~RUBY)
      module Rails; def self.env = "real"; end
      require "tasker/compat/rails"
      print Rails.env
    RUBY
  end
end
