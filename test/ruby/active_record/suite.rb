# frozen_string_literal: true

require "minitest"
require "tasker/active_record"
require_relative "schema"
require_relative "models"
require_relative "steps"

# Runs tests of ActiveRecord on tasker-rb's adapter, one by one, for the Go test
# that loads it into the host: outside steps through Suite.run, inside through
# the step handler below. Beside the adapter's models (Ours) are the same ones
# on ActiveRecord's own adapter and the pg gem (Theirs), on the same database.
module Suite
  class << self
    # @return [Hash] of the server, as the pg gem wants it
    attr_reader :server

    def prepare(server)
      @server = server.transform_keys(&:to_sym)
      ActiveRecord::Base.logger = nil
      ActiveRecord::Migration.verbose = false
      # The timeout is what remove_connection waits for the threads of the host.
      ActiveRecord::Base.establish_connection(adapter: "tasker", checkout_timeout: 0.1)
      connect_theirs
      Schema.create
      Models.define
      Dir[File.join(__dir__, "*_test.rb")].sort.each { |file| load file } unless @loaded
      @loaded = true
      forget_schemas
      nil
    end

    def finish
      Theirs::Base.remove_connection
      ActiveRecord::Base.remove_connection
      nil
    end

    # @return [Array<String>] as "Class#method"
    def names
      Case.descendants_with_tests.flat_map { |c| c.runnable_methods.sort.map { |m| "#{c.name}##{m}" } }
    end

    # @return [Hash] how many assertions, and what failed
    def run(name)
      class_name, _, method = name.rpartition("#")
      result = Object.const_get(class_name).new(method).run
      { assertions: result.assertions, failures: result.failures.map { |f| describe(f) } }
    end

    private

    # Without the libraries' own places in the backtrace.
    def describe(failure)
      lines = failure.message.lines.reject { |l| l.match?(%r{\A\s+/}) && !l.include?(__dir__) }
      "#{failure.class}: #{lines.first(25).join}\n#{failure.location}"
    end

    def connect_theirs
      Object.const_set(:Ours, Module.new) unless defined?(::Ours)
      Object.const_set(:Theirs, Module.new) unless defined?(::Theirs)
      Models.bases
      Theirs::Base.establish_connection(adapter: "postgresql", variables: { lock_timeout: "10s" }, **@server)
    end

    def forget_schemas
      [Ours, Theirs].each { |m| m.constants.each { |c| m.const_get(c).reset_column_information unless c == :Base } }
    end
  end

  # A test, whichever way it is run.
  class Case < Minitest::Test
    class << self
      def descendants_with_tests
        Case.subclasses.reject { |c| c.runnable_methods.empty? }.sort_by(&:name)
      end
    end

    def setup
      connection.execute("DELETE FROM journal; DELETE FROM lines; DELETE FROM orders; DELETE FROM profiles; " \
                         "DELETE FROM accounts; DELETE FROM samples; DELETE FROM notes")
      Models.events.clear
    end

    def connection
      ActiveRecord::Base.connection
    end

    def in_step?
      connection.in_step?
    end

    # Does the same with our models and with theirs, each in a transaction that
    # is rolled back, and wants the same answer.
    def assert_same(&block)
      ours = answer(Ours, &block)
      theirs = answer(Theirs, &block)
      theirs.nil? ? assert_nil(ours) : assert_equal(theirs, ours)
      ours
    end

    private

    def answer(models)
      value = nil
      models::Base.transaction(requires_new: true) do
        value = yield models
        raise ActiveRecord::Rollback
      end
      value
    end
  end

  # A test as a step.
  class Step < Tasker::StepHandler::Base
    def process(task, _sequence, _step)
      Suite.run(task.context["test"])
    end
  end
end
