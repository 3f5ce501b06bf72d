# frozen_string_literal: true

require_relative "place"
require_relative "attempt"

module Tasker
  module Testing
    # Notes what handlers do outside the database: HTTP requests, sockets, files that
    # are written, processes. It sees calls of Ruby methods. What C code does by itself
    # it does not see.
    #
    # @api private
    module Effects
      KINDS = %i[http socket file process other].freeze
      SILENT = :tasker_effect_silent
      private_constant :SILENT

      @watching = false

      class << self
        # Watches while the block runs.
        def watch
          Hooks.install
          @temporary = {}
          @watching = true
          yield
        ensure
          @watching = false
        end

        # @return [Boolean]
        def watching? = @watching

        # Notes what one of the hooks sees, before it happens.
        #
        # @return [nil]
        def seen(kind, detail, key: nil)
          return unless @watching && !Thread.current[SILENT] && !child? && Attempt.current

          within(true) { note(kind, detail, key) }
        end

        # Remembers a file or folder that is temporary, with all in it.
        #
        # @return [nil]
        def temporary(path)
          @temporary[File.expand_path(path)] = true
          nil
        end

        # @return [Boolean]
        def temporary?(path)
          path = File.expand_path(path)
          @temporary.each_key.any? { |folder| path == folder || path.start_with?("#{folder}/") }
        end

        # Notes nothing while the block runs: what an effect needs, such as the socket
        # of an HTTP request, belongs to it.
        #
        # @return [Object] what the block returns
        def silently(&block)
          @watching ? within(true, &block) : yield
        end

        # Notes again, in a block of the user's that something above calls.
        #
        # @return [Object] what the block returns
        def aloud(&block)
          @watching ? within(nil, &block) : yield
        end

        # @return [nil]
        def note(kind, detail, key)
          attempt = Attempt.current
          return if attempt.nil? || child?

          Service.ask(:effect, **attempt.fields, kind: kind, detail: text(detail), place: Place.current, key: key && text(key))
          nil
        end

        private

        def within(silent)
          before = Thread.current[SILENT]
          Thread.current[SILENT] = silent
          yield
        ensure
          Thread.current[SILENT] = before
        end

        # A child of the process has no engine to tell.
        def child?
          Tasker.const_defined?(:Host) && Host.forked?
        end

        def text(value)
          value.to_s.dup.force_encoding(Encoding::UTF_8).scrub
        end
      end
    end

    class << self
      # Notes an effect outside the database that the hooks do not see, such as one of
      # a double. {API#assert_exactly_once} counts it.
      #
      # @param kind [:http, :socket, :file, :process, :other]
      # @param detail [String] two attempts have the same effect when this is the same
      # @param key [String, nil] the idempotency key that was sent with it
      # @return [nil]
      # @example
      #   allow(Gateway).to receive(:charge) do |cents, key:|
      #     Tasker::Testing.effect(:other, "charge #{cents}", key: key)
      #   end
      def effect(kind, detail, key: nil)
        raise ArgumentError, "an effect is one of #{Effects::KINDS.join(", ")}, not #{kind.inspect}" unless Effects::KINDS.include?(kind)

        Effects.note(kind, detail, key)
      end
    end
  end
end

require_relative "effects/hooks"
