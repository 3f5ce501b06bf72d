# frozen_string_literal: true

module Tasker
  class HandlerLoader
    # Loads files in an order that satisfies the constants that they need.
    class LoadOrder
      # Matches what a file may raise while it loads. The rest comes from outside: a signal, or
      # the host's interrupt.
      module Raised
        def self.===(error)
          case error
          when StandardError, ScriptError then true
          when SignalException, NoMemoryError then false
          else !(defined?(Host::Interrupt) && Host::Interrupt === error) # rubocop:disable Style/CaseEquality
          end
        end
      end

      # A file that named an undefined constant.
      Waiting = Struct.new(:file, :error, :place)

      # A file that cannot be loaded. The place is file:line, or the file when no line is
      # known; more is what the message may end with. A file that waits lacks a constant,
      # which another one of them may define.
      Failure = Struct.new(:file, :error, :place, :more, :waits)

      # @param wording [Wording]
      def initialize(wording)
        @wording = wording
        @waited = {} # file => the constant that it waited for
      end

      # Each round tries every file that is left. The rounds go on while at
      # least one file gets further than in the round before.
      #
      # @param files [Array<String>]
      # @param again [Boolean] whether the files were loaded before
      # @return [Array<Failure>] the files that cannot be loaded; those that wait come last
      def load(files, again: false)
        failures = []
        before = nil
        until files.empty?
          waiting = files.filter_map { |file| attempt(file, failures, again: again || !before.nil?) }
          now = waiting.map { |w| [w.file, w.place, w.error.name] }
          return failures.concat(waiting.map { |w| Failure.new(w.file, w.error, w.place, "", true) }) if now == before

          before = now
          files = waiting.map(&:file)
        end
        failures
      end

      private

      # @return [Waiting, nil]
      def attempt(file, failures, again:)
        again ? quietly { require file } : require(file)
        nil
      rescue NameError => e
        return refuse(e, file, failures) unless constant_missing?(e)

        @waited[file] = e.name
        Waiting.new(file, e, @wording.place_of(e, file))
      rescue Raised => e
        refuse(e, file, failures)
      end

      # @return [nil]
      def refuse(error, file, failures)
        failures << Failure.new(file, error, @wording.place_of(error, file), @wording.defined_before(error, file, @waited[file]))
        nil
      end

      # The second run of a file sets its constants once more, and Ruby would
      # warn about that.
      def quietly
        verbose = $VERBOSE
        $VERBOSE = nil
        yield
      ensure
        $VERBOSE = verbose
      end

      def constant_missing?(error)
        !error.is_a?(NoMethodError) && error.name.to_s.match?(/\A[[:upper:]]/)
      end
    end
  end
end
