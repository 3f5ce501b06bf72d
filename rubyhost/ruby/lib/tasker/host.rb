# frozen_string_literal: true

# The Ruby side of the bridge. The host loads this file first, inside the embedded
# interpreter. It is not part of the gem's API and cannot work outside the host:
# register, request, log, job_serial, running?, foreign?, main_thread?, forked?,
# replace, stressed, masked, trace_block, thread_body, thread_created, thread_failed
# and child_left? are C functions of the bridge. In a Ractor and in a child of the
# process they raise a ServiceError, or answer 0, false or nil.

raise Tasker::Host::GEMFILE_ERROR if defined?(Tasker::Host::GEMFILE_ERROR)

$LOAD_PATH.unshift(File.expand_path("..", __dir__)) unless $LOAD_PATH.include?(File.expand_path("..", __dir__))

require "tasker"
# By name, because they are left to autoload: a file that is required in another way
# would start its own autoload when it opens its module again.
%i[Execution HandlerLoader].each { |name| Tasker.const_get(name) }
require_relative "host/values"
require_relative "host/conduct"
require_relative "host/output"
require_relative "host/lineage"
require_relative "host/all_output"
require_relative "host/children"
require_relative "host/leftovers"
require_relative "host/step_end"
require_relative "host/own_names"
require_relative "host/autoloads"
require_relative "host/heap"
require_relative "host/context_warnings"
require_relative "host/double_warnings"

# At the top level, so that evaluated source names constants as a script does.
empty_scope = -> { Object.new.instance_eval { binding } }

Tasker.const_get(:Host).const_set(:EMPTY_SCOPE, empty_scope)

module Tasker
  # Code that runs inside the host only.
  module Host
    # Raised in a handler whose time is up. It is no StandardError, so that
    # `rescue => e` does not swallow it.
    class Interrupt < Exception # rubocop:disable Lint/InheritException
      def initialize(message = "the step's time is up, or it was cancelled")
        super
      end
    end

    # The documents of a step, in C but for this.
    class Segments
      # (see Tasker::Segments#ask)
      def ask(question)
        return if self[5].empty?

        # In the name of the segments' own job: the thread may work for another one.
        answer = Host.ask("tasker-rb's documents", question, serial)
        answer unless answer.empty?
      end
    end

    # Go answered a request with an error.
    class ServiceError < Tasker::Error; end

    # A step-handler class, registered for calls.
    class StepCallable
      def initialize(handler_class, method)
        @handler_class = handler_class
        @method = method
      end

      def run(segments)
        StepEnd.clear if StepEnd.due # of steps that were interrupted while they did this
        Execution.run(@handler_class, segments, @method)
      ensure
        StepEnd.run if StepEnd.due
      end
    end

    # The same within a task handler, whose hooks are called.
    class StepWithinTaskHandler
      def initialize(handler_class, method, task_handler)
        @handler_class = handler_class
        @method = method
        @task_handler = task_handler
      end

      def run(segments)
        StepEnd.clear if StepEnd.due
        Execution.run(@handler_class, segments, @method, Host.hooks_of(@task_handler))
      ensure
        StepEnd.run if StepEnd.due
      end
    end

    # A public method of a constant, called with parsed JSON.
    class MethodCallable
      def initialize(receiver, name)
        @receiver = receiver
        @name = name
      end

      def run(segments)
        @receiver.public_send(@name, *segments.to_a.map { |s| RubyVersions.parse_json(s, max_nesting: Values::MAX_DEPTH) })
      ensure
        Leftovers.keep
      end
    end

    # One of the host's own operations.
    class Operation
      def initialize(&block)
        @block = block
      end

      def run(segments)
        @block.call(*segments.to_a)
      end
    end

    # An operation that runs or finds code that is not the host's.
    class OthersCode < Operation
      def run(segments)
        Autoloads.resolve
        super
      ensure
        Leftovers.keep
      end
    end

    @lock = Mutex.new
    @services = {}.freeze
    @loader = HandlerLoader.new

    class << self
      # @return [HandlerLoader]
      attr_reader :loader

      # Describes an exception for Go.
      def report(exception)
        Execution.describe(exception)
      end

      # Asks a Go service and waits for the answer without the GVL.
      #
      # @param name [String]
      # @param payload [String] bytes
      # @param serial [Integer] of the call that the question belongs to
      # @return [String] bytes
      # @raise [ServiceError] or the class that Go named
      def ask(name, payload, serial = job_serial)
        raise ServiceError, "a child process has no host to ask; use what you need before the fork, or spawn" if forked?

        number = @services.fetch(name) { raise ServiceError, "the host offers no service #{name.inspect}" }
        ok, reply = request(number, serial, payload)
        return reply if ok

        raise_reply(RubyVersions.parse_json(reply))
      end

      # @!visibility private
      def configure(options)
        if options["terminal"]
          require_relative "host/terminal"
          Terminal.install
        end
        Conduct.install
        Lineage.install
        Children.install
        $0 = options["program"] if $0 == "-e"
        unless options["pass_output"]
          streams = Output.streams = [$stdout = Output.new("info", $stdout), $stderr = Output.new("warn", $stderr)]
          STDOUT.sync = true # its lines would else come at the exit, after all others
          at_exit { Output.flush_all } # the last to be called
          Tasker.logger = Log.new
          AllOutput.install(*streams, *options["children"]) if options["children"]
          Conduct.refuse_prompts
        end
        Leftovers.install
        nil
      end

      # @!visibility private
      def changing_classes
        yield
        nil
      ensure
        Execution.forget # loaded code may have changed how a handler is made
      end

      # @!visibility private
      def serve(name, number)
        @lock.synchronize { @services = @services.merge(name => number).freeze }
        nil
      end

      # @!visibility private
      def find_method(name)
        path, dot, method = name.rpartition(".")
        raise ArgumentError, "#{name.inspect} is not of the form Const.method" if dot.empty?

        receiver = Object.const_get(path)
        unless receiver.respond_to?(method)
          raise NoMethodError.new("#{path} has no public method #{method}", method.to_sym)
        end
        MethodCallable.new(receiver, method.to_sym)
      end

      # @!visibility private
      # @return [TaskHandler::Hooks, nil]
      def hooks_of(task_handler)
        TaskHandler::Hooks.of(task_handler) { loader.resolve(task_handler) }
      end

      # For Go, which checks a new task's context.
      #
      # @!visibility private
      # @return [String, nil] JSON
      def schema_of(task_handler) = hooks_of(task_handler)&.schema_json

      # @!visibility private
      # @return [Boolean] whether there is such a class
      def class?(name)
        loader.resolve(name)
        true
      rescue HandlerNotFound
        false
      end

      # @!visibility private
      def gc_stats
        stat = GC.stat
        {
          Count: stat[:count], MajorCount: stat[:major_gc_count], TimeMS: stat.fetch(:time, 0),
          HeapLiveSlots: stat[:heap_live_slots], HeapFreeSlots: stat[:heap_free_slots],
          OldObjects: stat[:old_objects], HeapPages: stat[:heap_allocated_pages], MallocIncrease: stat[:malloc_increase_bytes],
          TotalAllocated: stat[:total_allocated_objects], TotalFreed: stat[:total_freed_objects],
          RubyVersion: RUBY_VERSION, YJIT: defined?(RubyVM::YJIT) && RubyVM::YJIT.enabled? ? true : false
        }
      end

      private

      def raise_reply(wire)
        klass = Object.const_get(wire.fetch("class"))
        raise klass, wire.fetch("message")
      rescue NameError
        raise ServiceError, "#{wire["class"]}: #{wire["message"]}"
      end
    end

    # The constants op… in call.go have the same order.
    register OthersCode.new { |path| changing_classes { load(Lineage.own(File.expand_path(path))) } }
    register OthersCode.new { |feature| changing_classes { loader.require_feature(feature) } }
    register OthersCode.new { |*dirs| ContextWarnings.look(DoubleWarnings.look(loader.load_dir(*dirs))) }
    register OthersCode.new { |source, file| eval(source, EMPTY_SCOPE.call, Lineage.own(file), 1) } # rubocop:disable Security/Eval
    register(OthersCode.new do |name, task_handler = nil|
      name, method = name.split("#", 2) # Shop::Payments#refund: another method than process
      handler_class = loader.resolve(name.to_s)
      Execution.check(handler_class, method)
      if task_handler
        hooks_of(task_handler) # its file is not to be looked for in a step's time
        register(StepWithinTaskHandler.new(handler_class, method, task_handler))
      else
        register(StepCallable.new(handler_class, method))
      end
    end)
    register Operation.new { gc_stats }
    register OthersCode.new { |name| register(find_method(name)) }
    register Operation.new { |name, number| serve(name, Integer(number)) }
    register Operation.new { |options| configure(RubyVersions.parse_json(options)) }
    register Operation.new { |collect, objects| Heap.measure(collect: collect == "1", objects: objects == "1") }
  end

  # The bridge has it in C (context.c). Ruby would warn of a second definition.
  Context.singleton_class.remove_method(:adopt)
end
