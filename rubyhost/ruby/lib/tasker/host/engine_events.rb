# frozen_string_literal: true

module Tasker
  module Host
    # Hands what the engine tells of tasks and steps to subscribers, on one thread for all of
    # them. So a subscriber that takes long holds up other subscribers, and no step.
    #
    # An event is delivered at most once. When too many wait, further ones are dropped.
    module EngineEvents
      # How many events may wait.
      MOST = 10_000
      # How many bytes of JSON they may have been; as Hashes they take several times that.
      MOST_BYTES = 32 << 20
      # How often a warning of dropped events is repeated, in seconds.
      PAUSE = 60
      private_constant :PAUSE

      @queue = Thread::Queue.new
      @lock = Mutex.new
      @idle = ConditionVariable.new
      @waiting = 0
      @bytes = 0
      @dropped = 0
      @said = nil
      @telling = Mutex.new
      @services = [].freeze

      class << self
        # Has Go told from now on which of the engine's events somebody listens to, and warns
        # of subscriptions to what never comes.
        #
        # @param service [String] that is told; each engine of the process has one
        # @return [nil]
        def start(service)
          @services = [*@services, service].freeze
          Events.engine = method(:tell)
          warn_of_unheard
          tell
          nil
        end

        # To be called when all handlers are loaded.
        #
        # @return [nil]
        def warn_of_unheard
          Events::Unheard.warn { Host.loader.handler_names.map { |name| Host.loader.resolve(name) } }
        end

        # @param events [Array<Hash>] from Go, in order
        # @param sizes [Array<Integer>] of their JSON, in bytes
        # @return [nil]
        def take(events, sizes = [])
          @lock.synchronize do
            dropped = events.each_with_index.count { |event, i| !enqueue(event, sizes[i] || 0) }
            drop(dropped) if dropped.positive?
            start_thread if @waiting.positive?
          end
          nil
        end

        # Runs the block on the thread of the events, after those that wait.
        #
        # @return [nil]
        def later(&block)
          first = !@used
          @used = true
          tell if first # Go waits for it before it ends
          take([block])
        end

        # Waits until all events that were taken are delivered.
        #
        # @param seconds [Float] at most
        # @return [Integer] how many are not
        def flush(seconds)
          until_time = now + seconds
          @lock.synchronize do
            start_thread if @waiting.positive?
            while @waiting.positive? && (left = until_time - now).positive?
              @idle.wait(@lock, left)
            end
            @waiting
          end
        end

        private

        # "ruby" says that there are blocks of {.later}.
        def wanted = Events::FromEngine.wanted(Events.subscriptions) + (@used ? ["ruby"] : [])

        # Two threads may subscribe at the same time, and Go must hear the latest last.
        def tell
          return if Host.forked?

          @telling.synchronize do
            kinds = RubyVersions.generate_json(wanted)
            @services.each { |service| Host.ask(service, kinds) }
          end
        end

        # A large event finds its room when nothing else waits.
        def enqueue(event, size)
          return false if @waiting >= MOST || (@waiting.positive? && @bytes + size > MOST_BYTES)

          @waiting += 1
          @bytes += size
          @queue.push([event, size])
        end

        # A subscriber may have ended the thread.
        def start_thread
          return if @thread&.alive?

          @thread = Thread.new { deliver }
          @thread.name = "tasker-rb's events"
          @thread.report_on_exception = false
        end

        def deliver
          while (event, size = @queue.pop)
            deliver_one(event, size)
          end
        end

        def deliver_one(event, size)
          event.is_a?(Proc) ? event.call : Events::FromEngine.publish(event)
        rescue Exception => e # rubocop:disable Lint/RescueException -- a subscriber may raise anything, exit among it
          Tasker.logger.error("a subscriber raised #{Events.in_a_line(e)}")
        ensure
          Output.flush_all if Output.unfinished
          @lock.synchronize do
            @waiting -= 1
            @bytes -= size
            @idle.broadcast if @waiting.zero?
          end
        end

        def drop(count)
          @dropped += count
          return if @said && now - @said < PAUSE

          @said = now
          Tasker.logger.warn("#{@dropped} events of tasks were dropped, because #{@waiting} wait for their subscribers")
          @dropped = 0
        end

        def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
      end
    end
  end
end
