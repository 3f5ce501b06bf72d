# frozen_string_literal: true

require_relative "../ruby_versions"
require_relative "memory/plain"
require_relative "memory/folders"
require_relative "memory/census"
require_relative "memory/survivors"
require_relative "memory/containers"
require_relative "memory/slots"

module Tasker
  module Host
    # Finds the Ruby objects that tasks leave behind, and what holds them. It tells
    # what tasks add from what they need once: it compares two equal runs, and names
    # only what has grown in both.
    #
    # Allocations are traced, the whole heap is walked, and containers get singleton
    # methods. So this is for a process that is thrown away afterwards. It calls no
    # method that a handler can have defined or overridden.
    #
    # @example
    #   Memory.start
    #   # load the handlers, run the warm-up
    #   Memory.mark
    #   # run 500 tasks
    #   Memory.mark
    #   # run 500 tasks
    #   Memory.suspects(10, ["/app/handlers"], 500)
    #   # run 50 tasks
    #   Memory.stores
    #
    # @api private
    module Memory
      class << self
        # Begins to note where objects are allocated. Call it before handlers are loaded.
        #
        # @raise [LoadError] when this Ruby lacks the objspace extension
        # @return [Hash] empty
        def start
          load_objspace
          ::ObjectSpace.trace_object_allocations_start
          @census = []
          @keys = Keys.new
          @spying = false
          {}
        end

        # Counts what lives. Call it at a quiet point: after the warm-up, and after the
        # first run.
        #
        # @raise [ArgumentError] without {.start}, and at a third call
        # @return [Hash] empty
        def mark
          raise ArgumentError, "Memory.mark needs Memory.start before it" unless @census
          raise ArgumentError, "Memory.mark was called #{@census.size} times; then Memory.suspects follows" if @census.size > 1

          @census << Census.take(@keys)
          {}
        end

        # Call it at a quiet point after the second run. It also spies on the containers
        # that grow, for {.stores}.
        #
        # @param limit [Integer] how many to return
        # @param folders [Array<String>] of the handlers
        # @param tasks [Integer] how many tasks each of the two runs had
        # @raise [ArgumentError] without two marks
        # @return [Array<Hash>] suspects; those of the handlers' own lines first, unless
        #   others are ten times as large
        def suspects(limit, folders, tasks)
          raise ArgumentError, "Memory.suspects needs two calls of Memory.mark before it" unless @census&.size == 2
          raise ArgumentError, "tasks is #{tasks}; it has to be at least 1" unless tasks.positive?

          folders = Folders.new(folders)
          findings = Findings.new(@census, @keys, folders, tasks) # holds the whole heap, so it goes
          found = findings.suspects(limit)
          Spies.install(findings.containers, folders)
          @spying = true
          found
        end

        # @raise [ArgumentError] without {.suspects}
        # @return [Hash{String => Hash}] by the suspect's index: the line that has stored
        #   most often into its container since {.suspects}; the handler's line, if a gem
        #   does it for a handler
        def stores
          raise ArgumentError, "Memory.stores needs Memory.suspects before it" unless @spying

          Spies.lines
        end

        private

        def load_objspace
          require "objspace"
          require_relative "memory/findings"
        rescue LoadError => e
          raise unless e.path == "objspace"

          raise LoadError, "this Ruby (#{RUBY_DESCRIPTION}) has no objspace extension, which finds the lines that leak; " \
                           "install Ruby's standard library in full"
        end
      end
    end
  end
end
