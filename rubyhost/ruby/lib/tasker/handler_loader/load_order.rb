# frozen_string_literal: true

module Tasker
  class HandlerLoader
    # Loads files in an order that satisfies the constants that they need.
    class LoadOrder
      # The errors that a file may raise while it loads, besides NameError.
      RAISED = [StandardError, ScriptError, SystemExit, SystemStackError].freeze

      # A file that named an undefined constant.
      Waiting = Struct.new(:file, :error, :place)

      # @param wording [Wording]
      def initialize(wording)
        @wording = wording
        @waited = {} # file => the constant that it waited for
      end

      # Each round tries every file that is left. The rounds go on while at
      # least one file gets further than in the round before.
      #
      # @param files [Array<String>]
      # @raise [HandlerError]
      def load(files)
        before = nil
        until files.empty?
          waiting = files.filter_map { |file| attempt(file, again: !before.nil?) }
          now = waiting.map { |w| [w.file, w.place, w.error.name] }
          raise_missing(waiting) if now == before

          before = now
          files = waiting.map(&:file)
        end
      end

      private

      # @return [Waiting, nil]
      def attempt(file, again:)
        again ? quietly { require file } : require(file)
        nil
      rescue SyntaxError => e
        raise HandlerError, @wording.syntax(e)
      rescue NameError => e
        raise HandlerError, @wording.failure(e, file) unless constant_missing?(e)

        @waited[file] = e.name
        Waiting.new(file, e, @wording.place_of(e, file))
      rescue *RAISED => e
        raise HandlerError, @wording.failure(e, file) + @wording.defined_before(e, file, @waited[file])
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

      def raise_missing(waiting)
        raise HandlerError, @wording.missing(waiting), cause: waiting.first.error
      end
    end
  end
end
