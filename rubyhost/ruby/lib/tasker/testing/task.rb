# frozen_string_literal: true

require_relative "near"
require_relative "failure"
require_relative "step"

module Tasker
  module Testing
    # What a handler has logged through Tasker.logger. +level+ is a Symbol, and +step+
    # a name.
    LogLine = Struct.new(:level, :message, :step, :attempt, keyword_init: true) do
      def to_s = "#{level}: #{message}"
    end

    # What was published in this process while the task ran; see {Tasker::Events}.
    Published = Struct.new(:name, :payload, :step, :attempt, keyword_init: true)

    # What happened in the engine: a change of the task, or of a step.
    Event = Struct.new(:kind, :step, :attempt, :at, keyword_init: true)

    # An entry of the task's history, as <tt>tasker-rb tasks show</tt> prints it.
    Entry = Struct.new(:at, :what, :step, :attempt, :from, :to, :by, :reason, keyword_init: true)

    # A task that {API#run_task} has run to its end.
    class Task
      # @return [Array<LogLine>]
      attr_reader :log
      # @return [Array<Published>]
      attr_reader :published
      # @api private
      # @return [Array<Hash>] what happened, in order
      attr_reader :trace
      # @api private
      # @return [Boolean, nil] whether it got to the point of the crash
      attr_reader :reached

      # @api private
      # @param reply [Hash{String => Object}] of the engine
      # @param observed [#log, #published]
      def initialize(reply, observed)
        @fields = reply.fetch("task")
        @trace = reply["trace"].to_a
        @reached = reply["reached"]
        @log = observed.log
        @published = observed.published
      end

      # @return [Integer]
      def task_id = @fields["task_id"]
      alias id task_id

      # @return [String]
      def name = @fields["name"]

      # @return [String]
      def namespace_name = @fields["namespace"]

      # @return [String]
      def version = @fields["version"]

      # @return [String] complete, error and so on
      def status = @fields["status"]

      # @return [Boolean]
      def complete? = status == "complete"

      # @return [Context] as it was submitted, with the defaults of the schema
      def context
        @context ||= Context.wrap(@fields["context"] || {})
      end

      # @return [Array<Step>] each after those that it depends on
      def steps
        @steps ||= @fields["steps"].to_a.map { |fields| Step.new(fields, self) }
      end

      # @param name [String, Symbol]
      # @return [Step]
      # @raise [Error] when the task has no such step. It names those that are near.
      def step(name)
        name = name.to_s
        steps.find { |step| step.name == name } ||
          raise(Error, "the task #{self.name} has no step #{name}#{Near.hint(name, steps.map(&:name))}")
      end

      # @return [Boolean]
      def step?(name)
        steps.any? { |step| step.name == name.to_s }
      end

      # @return [Array<Event>] in the order in which they happened
      def events
        @events ||= records(Event, "events")
      end

      # @return [Array<Entry>] in the order in which they happened
      def history
        @history ||= records(Entry, "history")
      end

      def inspect
        "#<#{self.class} #{task_id} #{namespace_name}/#{name} #{status}: " \
          "#{steps.map { |step| "#{step.name} #{step.status}" }.join(", ")}>"
      end
      alias to_s inspect

      private

      def records(type, key)
        @fields[key].to_a.map do |fields|
          fields = fields.slice(*type.members.map(&:to_s)).transform_keys(&:to_sym)
          type.new(**fields, at: fields[:at] && Time.iso8601(fields[:at]))
        end
      end
    end
  end
end
