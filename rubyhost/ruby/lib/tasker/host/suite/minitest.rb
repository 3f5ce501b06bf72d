# frozen_string_literal: true

module Tasker
  module Host
    module Suite
      # minitest, which runs itself at exit.
      class MinitestRunner
        # Prepended to Minitest's class methods. A plugin could not do this: with one that
        # is registered already, minitest looks for no others.
        module Counting
          def init_plugins(options)
            super
            reporter << Suite::MinitestRunner.counter
          end
        end

        # Counts the tests.
        class Counter
          # @return [Hash{String => Integer}]
          attr_reader :numbers

          def initialize
            @numbers = { "examples" => 0, "failures" => 0, "pending" => 0 }
            @lock = Mutex.new
          end

          def record(result)
            @lock.synchronize do
              @numbers["examples"] += 1
              kind = result.skipped? ? "pending" : "failures"
              @numbers[kind] += 1 unless result.passed?
            end
          end

          def passed?
            true
          end

          %i[start report].each { |name| define_method(name) {} }
          def prerecord(*); end
        end

        @counter = Counter.new

        class << self
          # @return [Counter]
          attr_reader :counter
        end

        # @param paths [Array<String>] files
        # @param options [Array<String>]
        # @return [Integer] the exit status
        def run(paths, options)
          ::Minitest.singleton_class.prepend(Counting)
          $LOAD_PATH.unshift(*%w[lib test].map { |dir| File.expand_path(dir) }.select { |dir| File.directory?(dir) })
          Script.within("minitest", options) do
            paths.each { |path| require File.expand_path(path) }
            Suite.begin_examples
            require "minitest/autorun"
          end
        end

        # It reports on what has run. The guard in Thread#raise, against steps that
        # interrupt others, is passed by.
        def interrupt(thread)
          unguarded = Thread.instance_method(:raise)
          unguarded = unguarded.super_method until unguarded.owner.equal?(Thread)
          unguarded.bind_call(thread, ::Interrupt, "")
        end

        # @return [Hash{String => Integer}]
        def summary
          self.class.counter.numbers
        end
      end
    end
  end
end
