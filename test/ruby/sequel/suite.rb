# frozen_string_literal: true

require "minitest"
require "tasker/sequel"

# Minitest.run would choose it; newer versions need it to name the tests.
Minitest.seed ||= 0 if Minitest.respond_to?(:seed)

# Runs tests of Sequel on tasker-rb's adapter, one by one. The Go test TestSequel
# loads it into the host. It runs each test twice: outside steps through
# SequelSuite.run, and inside a step through SequelSuite::Step. A second database
# object, on Sequel's own adapter with the pg gem, gives the right answers.
module SequelSuite
  EXTENSIONS = %i[pg_array pg_json pg_range pg_enum pg_interval pg_hstore pg_row pg_inet pg_multirange].freeze

  class << self
    # @return [Sequel::Database] through the host
    attr_reader :ours
    # @return [Sequel::Database] through the pg gem
    attr_reader :theirs

    # @param server [Hash] as Sequel.postgres wants it
    def prepare(server)
      @theirs = Sequel.postgres(**server.transform_keys(&:to_sym))
      @theirs.run("CREATE EXTENSION IF NOT EXISTS hstore; CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy'); " \
                  "CREATE TYPE place AS (street text, number int)")
      @theirs.create_table(:kept) { primary_key :id; String :entry, null: false, unique: true }
      @ours = Sequel.connect("tasker:///")
      [@ours, @theirs].each { |db| db.extension(*EXTENSIONS) }
      Sequel.extension(:pg_array_ops, :pg_json_ops, :pg_range_ops)
      Dir[File.join(__dir__, "*_test.rb")].sort.each { |file| load file } unless @loaded
      @loaded = true
      nil
    end

    def finish
      [@ours, @theirs].each do |db|
        db.disconnect
        Sequel::DATABASES.delete(db)
      end
      nil
    end

    # @return [Array<String>] as "Class#method"
    def names
      tests = Case.subclasses.reject { |c| c.runnable_methods.empty? }.sort_by(&:name)
      tests.flat_map { |c| c.runnable_methods.sort.map { |m| "#{c.name}##{m}" } }
    end

    # @return [Hash] how many assertions, and what failed
    def run(name)
      class_name, _, method = name.rpartition("#")
      result = Object.const_get(class_name).new(method).run
      { assertions: result.assertions, failures: result.failures.map { |f| "#{f.message}\n#{f.location}" } }
    end
  end

  # A test, inside a step or outside.
  class Case < Minitest::Test
    def db
      SequelSuite.ours
    end

    def teardown
      assert_operator db.pool.size, :<=, 20, "connections pile up"
    end

    # Runs the block with both databases, each in a transaction that is rolled
    # back, and requires the same answer, or the same error.
    #
    # @return [Object] that answer
    def same(&block)
      theirs = answer(SequelSuite.theirs, &block)
      ours = answer(db, &block)
      theirs.nil? ? assert_nil(ours) : assert_equal(theirs, ours)
      assert_equal(kinds(theirs), kinds(ours))
      ours
    end

    # Runs the block in a transaction, and rolls it back.
    def trying(database = db, &block)
      database.transaction(rollback: :always, savepoint: true, &block)
    end

    private

    def answer(database, &block)
      trying(database) { block.call(database) }
    rescue Sequel::Error => e
      [e.class, e.message.lines.first]
    end

    # The classes too must be the same: 1 and 1.0 are equal.
    def kinds(value)
      case value
      when Hash then [value.class, value.transform_values { |v| kinds(v) }]
      when Array then [value.class, value.map { |v| kinds(v) }]
      when String then [value.class, value.encoding]
      else value.class.name || value.class.superclass
      end
    end
  end

  # A test as a step.
  class Step < Tasker::StepHandler::Base
    def process(task, _sequence, _step)
      SequelSuite.run(task.context["test"])
    end
  end
end
