# frozen_string_literal: true

module Tasker
  module Host
    module Memory
      # Finds from where objects can be reached: a breadth-first search from what has a
      # name. Constants, global variables and thread locals come first, then what only
      # the interpreter reaches, and the stack of this thread last.
      class Search
        # The search takes about a second for each 300,000 objects.
        MOST_OBJECTS = 4_000_000
        SECONDS = 30

        # Where the search began; of a thread's locals with the thread.
        Root = Struct.new(:kind, :name, :thread)

        # What stands for an object of the interpreter.
        Wrapper = ::ObjectSpace::InternalObjectWrapper

        SPECIAL = %i[$stdin $stdout $stderr $PROGRAM_NAME $DEBUG $VERBOSE $FILENAME $LOADED_FEATURES $LOAD_PATH].freeze

        NAME = ::Thread.instance_method(:name)
        VARIABLES = ::Thread.instance_method(:thread_variables)
        VARIABLE = ::Thread.instance_method(:thread_variable_get)
        LOCALS = ::Thread.instance_method(:keys)
        LOCAL = ::Thread.instance_method(:[])

        # @return [Boolean] whether it has ended before it had found all
        attr_reader :unfinished

        # @param wanted [Hash{Object => Object}] by identity; the search ends when it has
        #   reached all of its keys
        # @param hidden [Array<Object>] that are ours
        def initialize(wanted, hidden)
          @wanted = wanted
          @missing = wanted.size
          @parents = {}.compare_by_identity
          @queues = Array.new(4) { [] }
          @unfinished = false
          [self, @wanted, @parents, @queues, *@queues, *hidden].each { |object| @parents[object] = nil }
        end

        # @return [Search] self
        def run
          @deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + SECONDS
          from_names
          drain
          from_interpreter if @missing.positive?
          self
        end

        # @return [Object, Root, nil] what the object was reached from; an internal object
        #   is a Wrapper
        def parent(object)
          @parents[key(object)]
        end

        # @return [Object, Integer] what stands for the object in tables by identity
        def key(object) = Search::Wrapper === object ? object.internal_object_id : object

        private

        # Of what has a name, the search takes the shortest way.
        def from_names
          reach(::Object, Root.new("constant", "Object"))
          global_variables.each do |name|
            next if SPECIAL.include?(name) || !name.match?(/\A\$[A-Za-z_]\w+\z/)

            value = eval(name.name, binding, __FILE__, __LINE__) # rubocop:disable Security/Eval, Style/EvalWithLocation
            reach(value, Root.new("global", name.name))
          end
          ::Thread.list.each { |thread| from_thread(thread) }
        end

        def from_thread(thread)
          called = NAME.bind_call(thread)
          called = called ? " of thread #{called}" : ""
          VARIABLES.bind_call(thread).each do |name|
            reach(VARIABLE.bind_call(thread, name), Root.new("thread_local", "[#{name.inspect}]#{called}", thread))
          end
          LOCALS.bind_call(thread).each do |name|
            reach(LOCAL.bind_call(thread, name), Root.new("fiber_local", "[#{name.inspect}]#{called}", thread))
          end
        end

        def from_interpreter
          ::ObjectSpace.reachable_objects_from_root.each do |category, objects|
            next if category == "machine_context"

            root = Root.new("root", category)
            objects.each { |object| reach(object, root) }
          end
          drain
        end

        # A constant value (true, an Integer) is no object of the heap.
        def reach(object, from)
          return if @parents.key?(key = key(object)) || ::ObjectSpace.reachable_objects_from(object).nil?

          @parents[key] = from
          @missing -= 1 if @wanted.key?(object)
          @queues[rank(object, from)] << object
        end

        # What a Proc captured comes after objects, methods after that, and threads come
        # last: this call's stack refers to our own objects.
        def rank(object, from)
          case object
          when Search::Wrapper then ::Module === from ? 2 : 1
          when ::Thread, ::Fiber then ::Thread.current.equal?(object) ? 3 : 2
          else 0
          end
        end

        def drain
          heads = [0, 0, 0, 0]
          steps = 0
          while @missing.positive? && (rank = (0..3).find { |n| heads[n] < @queues[n].size })
            object = @queues[rank][heads[rank]]
            heads[rank] += 1
            expand(object)
            return @unfinished = true if ((steps += 1) & 4095).zero? && late?
          end
          @queues.each(&:clear)
        end

        def late? = Process.clock_gettime(Process::CLOCK_MONOTONIC) > @deadline

        def expand(object)
          ::ObjectSpace.reachable_objects_from(object)&.each do |child|
            key = Search::Wrapper === child ? child.internal_object_id : child
            next if @parents.key?(key)

            @parents[key] = object
            @missing -= 1 if @wanted.key?(child)
            @queues[rank(child, object)] << child
          end
        end
      end
    end
  end
end
