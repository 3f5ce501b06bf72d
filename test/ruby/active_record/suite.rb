# frozen_string_literal: true

require "minitest"
require "tasker/active_record"
require_relative "schema"
require_relative "models"
require_relative "steps"

# Minitest.run would choose it; newer versions need it to name the tests.
Minitest.seed ||= 0 if Minitest.respond_to?(:seed)

# Runs tests of ActiveRecord on tasker-rb's adapter, one by one. The Go test
# TestActiveRecord loads it into the host. It runs the tests twice: outside steps
# through Suite.run, and inside a step through Suite::Step. The models exist twice
# too, on one database: Ours on tasker-rb's adapter, and Theirs on ActiveRecord's
# own adapter with the pg gem.
module Suite
  # remove_connection waits this long for the host's threads.
  WAIT = 0.1

  class << self
    # @return [Hash] of the server, as the pg gem wants it
    attr_reader :server
    # What a reaper is told, and what it says.
    attr_accessor :reaper_orders, :reaper_answers

    def prepare(server)
      @server = server.transform_keys(&:to_sym)
      ActiveRecord::Base.logger = nil
      ActiveRecord::Migration.verbose = false
      ActiveRecord::Base.establish_connection(adapter: "tasker", checkout_timeout: WAIT)
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

    # Leaves the libraries' own lines of the backtrace out.
    def describe(failure)
      lines = failure.message.lines.reject { |l| l.match?(%r{\A\s+/}) && !l.include?(__dir__) }
      "#{failure.class}: #{lines.first(25).join}\n#{failure.location}"
    end

    def connect_theirs
      Object.const_set(:Ours, Module.new) unless defined?(::Ours)
      Object.const_set(:Theirs, Module.new) unless defined?(::Theirs)
      Models.bases
      Theirs::Base.establish_connection(adapter: "postgresql", variables: { lock_timeout: "10s" }, checkout_timeout: WAIT, **@server)
    end

    def forget_schemas
      [Ours, Theirs].each { |m| m.constants.each { |c| m.const_get(c).reset_column_information unless c == :Base } }
    end
  end

  # A test, inside a step or outside.
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

    # Runs the block with our models and with theirs, each in a transaction that
    # is rolled back, and requires the same answer.
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
