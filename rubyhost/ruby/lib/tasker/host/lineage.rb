# frozen_string_literal: true

module Tasker
  module Host
    # Threads that a handler starts belong to the handler's step. Go answers
    # their questions (SQL, for instance) in the step's name, and refuses them
    # once the step has ended.
    #
    # Those that the step's own code creates end with the step (step_threads.c).
    # Code is a step's own when its file is in a handlers folder, was given to
    # Host.Load, or is a name given to Host.Eval. Threads that gems or Ruby's
    # library create stay: a pool or a timer serves later steps too.
    module Lineage
      MAIN_RACTOR = Ractor.current
      # Frames that say nothing about who creates a thread.
      NOBODYS = ["<internal:", "(eval", "#{__dir__}/"].freeze
      # How many files and names are remembered. A program that evaluates under
      # ever new names must not fill the memory.
      MOST_FILES = 10_000
      private_constant :MAIN_RACTOR, :NOBODYS, :MOST_FILES

      # Thread.new calls this in the thread that starts the new one.
      def initialize(*args, **options, &block)
        body, key = Lineage.body(self, block)
        Lineage.starting(key) { super(*args, **options, &body) }
      end

      # Thread.start and Thread.fork call no initialize.
      module Starting
        def start(*args, **options, &block)
          body, key, lineage = Lineage.body(nil, block)
          Lineage.starting(key) { super(*args, **options, &body) }.tap { |thread| Lineage.created(key, thread, lineage) }
        end

        def fork(*args, **options, &block)
          body, key, lineage = Lineage.body(nil, block)
          Lineage.starting(key) { super(*args, **options, &body) }.tap { |thread| Lineage.created(key, thread, lineage) }
        end
      end

      @lock = Mutex.new
      @files = {}.freeze

      class << self
        # @!visibility private
        def install
          Thread.prepend(self)
          Thread.singleton_class.prepend(Starting)
        end

        # @!visibility private
        # Of the step that this thread works for: 0 in another Ractor, which
        # cannot ask Go for anything.
        def serial
          Host.job_serial
        end

        # @!visibility private
        def main_ractor?
          Ractor.current.equal?(MAIN_RACTOR)
        end

        # Remembers that code in this file is a step's own.
        #
        # @!visibility private
        def own(file)
          return file if @files.key?(file)

          @lock.synchronize do
            files = @files.merge(file.dup.freeze => true)
            files.shift while files.size > MOST_FILES
            @files = files.freeze
          end
          file
        end

        # The block to start a thread with, instead of the given one, the bridge's
        # key of the thread, and the serial for the thread's questions.
        #
        # @!visibility private
        def body(thread, block)
          return [block, nil] if block.nil? || !main_ractor?

          serial = Host.job_serial
          lineage = serial unless serial.zero? || shared?(block)
          place = step_place unless serial.zero? || Thread.current[:tasker_keep_thread]
          Host.thread_body(thread, block, lineage, place) << lineage
        end

        # @!visibility private
        def starting(key)
          started = false
          yield.tap { started = true }
        ensure
          Host.thread_failed(key) unless started || key.nil?
        end

        # @!visibility private
        def created(key, thread, lineage)
          Host.thread_created(key, thread, lineage) if key
        end

        # Tells the log which threads were ended with their step. The bridge calls
        # it on the step's thread.
        #
        # @param ended [Array<Array(Thread, String)>] with the place of creation;
        #   a thread that has not begun may be nil
        # @param abandoned [Array<Array(Thread, String)>] those of them that go on
        # @!visibility private
        def report(ended, abandoned)
          by_place(ended - abandoned) do |who, place, count|
            Output.log("warn", "#{who} from #{place} ended with the step", { "threads" => count, "place" => place })
          end
          by_place(abandoned) do |who, place, count|
            Output.log("error", "#{who} from #{place} did not end with the step and was abandoned", { "threads" => count, "place" => place })
          end
        end

        # Where code asks for something: the nearest place in the step's own code,
        # or else in any code.
        #
        # @!visibility private
        def place_of_call
          frames = caller_locations(2).reject { |at| nobodys?(at.path) }
          frame = frames.find { |at| own?(at.path, at.absolute_path) } || frames.first
          frame ? "#{frame.path}:#{frame.lineno}" : "an unknown place"
        end

        private

        # Newer versions of timeout share one thread between all callers. The host's own
        # threads work for no step.
        def shared?(block)
          file = block.source_location&.first.to_s
          file.end_with?("/timeout.rb") || file.start_with?("#{__dir__}/")
        end

        # @return [String, nil] the place in the step's own code that creates a
        #   thread; nil when other code creates it
        def step_place
          creates = ->(at) { !nobodys?(at.path) }
          frame = caller_locations(3, 6).find(&creates) || caller_locations(3).find(&creates)
          "#{frame.path}:#{frame.lineno}" if frame && own?(frame.path, frame.absolute_path)
        end

        def nobodys?(path)
          path.nil? || path.start_with?(*NOBODYS)
        end

        def own?(path, absolute)
          return true if @files.key?(path)

          absolute ||= path
          Host.loader.folders.any? { |folder| absolute.start_with?("#{folder}/") && !of_a_gem?(absolute, folder) }
        end

        # Whether gems are kept inside the handlers folder, and this is one's.
        def of_a_gem?(path, folder)
          defined?(Gem) && Gem.path.any? { |gems| gems.start_with?(folder) && path.start_with?("#{gems}/") }
        end

        def by_place(threads)
          threads.group_by { |thread, place| [thread&.name, place] }.each do |(name, place), group|
            who = name ? "the thread #{name.inspect}" : "a thread"
            yield group.size == 1 ? who : "#{group.size} threads#{" #{name.inspect}" if name}", place, group.size
          end
        end
      end
    end

    class << self
      # @!visibility private
      def thread_returns
        Output.flush_all if Output.unfinished && !Host.forked?
      end

      # @!visibility private
      def report_threads(ended, abandoned)
        Lineage.report(ended, abandoned)
      end
    end
  end
end
