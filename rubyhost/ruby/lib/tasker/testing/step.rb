# frozen_string_literal: true

module Tasker
  module Testing
    # One start of a step. +outcome+ is the engine's word for its end, and +error+ a
    # {Failure} or nil.
    Try = Struct.new(:number, :outcome, :started_at, :ended_at, :error, keyword_init: true)

    # One statement of a step. +rows+ counts those that it returned or touched.
    Statement = Struct.new(:attempt, :sql, :rows, :milliseconds, :error, keyword_init: true) do
      def to_s = sql
    end

    # A step of a {Task} that has been run.
    class Step
      # @return [Tasker::Testing::Task]
      attr_reader :task

      # @api private
      def initialize(fields, task)
        @fields = fields
        @task = task
      end

      # @return [String]
      def name = @fields["name"]

      # @return [String] of its handler
      def handler_class = @fields["handler_class"]

      # @return [String] pending, in_progress, waiting_for_retry, complete, error,
      #   cancelled or resolved_manually
      def status = @fields["status"]

      # @return [Boolean]
      def complete? = status == "complete"

      # @return [Integer] how often it has begun
      def attempts = @fields["attempts"] || 0

      # @return [Integer] how many of these were lost: their process died
      def losses = @fields["losses"] || 0

      # @return [Object] as stored. Those of its Hashes have String keys, and can be
      #   read with Symbols.
      def results
        @results ||= Context.wrap(@fields["results"] || {})
      end

      # @return [Array<String>] names of steps
      def depends_on = @fields["depends_on"].to_a

      # @return [Failure, nil] of the last attempt that failed
      def error = Failure.from(@fields["error"])

      # @return [Array<Try>]
      def tries
        @tries ||= @fields["tries"].to_a.map do |try|
          Try.new(number: try["number"], outcome: try["outcome"], started_at: time(try["started_at"]),
                  ended_at: time(try["ended_at"]), error: Failure.from(try["error"]))
        end
      end

      # @return [Array<Statement>] of all attempts
      def sql
        @sql ||= @fields["sql"].to_a.map do |statement|
          Statement.new(**statement.slice("attempt", "sql", "rows", "milliseconds", "error").transform_keys(&:to_sym))
        end
      end

      # @return [Array<LogLine>] what its attempts have logged
      def log = task.log.select { |line| line.step == name }

      # @return [Time, nil]
      def started_at = time(@fields["started_at"])

      # @return [Time, nil]
      def completed_at = time(@fields["completed_at"])

      def inspect
        "#<#{self.class} #{name} #{status}, #{attempts} #{attempts == 1 ? "attempt" : "attempts"}#{", #{error}" if error}>"
      end
      alias to_s inspect

      private

      def time(text)
        text && Time.iso8601(text)
      end
    end
  end
end
