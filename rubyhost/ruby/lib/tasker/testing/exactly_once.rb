# frozen_string_literal: true

require_relative "runs"
require_relative "effects"
require_relative "exactly_once/comparison"
require_relative "exactly_once/points"
require_relative "exactly_once/repeated"
require_relative "exactly_once/timeline"

module Tasker
  module Testing
    # Runs a task once for each point at which its worker can die, and compares what is
    # left in the database with undisturbed runs; see {API#assert_exactly_once}.
    module ExactlyOnce
      # What {API#assert_exactly_once} returns when it has found nothing.
      #
      # - +passed+: how many points of crash passed
      # - +points+: the points
      # - +left_out+: how many the cap has left out
      # - +not_compared+: what differs without a crash, in words
      Result = Struct.new(:template, :points, :left_out, :not_compared, keyword_init: true) do
        # @return [Integer]
        def passed = points.size

        def to_s
          text = "#{template} does everything exactly once: #{passed} #{passed == 1 ? "point" : "points"} of crash passed"
          text << ", and #{left_out} were left out (cap:)" if left_out.positive?
          text << "; not compared: #{not_compared.join(", ")}" if not_compared.any?
          text
        end
      end

      # What went wrong, as the lines of a message.
      #
      # @api private
      class Failed < Error
        # @return [Task, nil]
        attr_reader :task

        def initialize(lines, task = nil)
          super(Array(lines).join("\n"))
          @task = task
        end
      end

      # One call of assert_exactly_once.
      #
      # @api private
      class Check
        # @param allow [Array<Symbol>] kinds of effects
        # @yield returns the rows
        def initialize(template, context, points, cap, allow, stubs, snapshot)
          unknown = allow.map(&:to_sym) - Effects::KINDS
          raise ArgumentError, "allow: has #{unknown.first.inspect}, and may have #{Effects::KINDS.map(&:inspect).join(", ")}" if unknown.any?
          raise ArgumentError, "cap: has to be 1 or more, not #{cap.inspect}" unless cap.is_a?(Integer) && cap.positive?

          @template = template
          @given = { context: context, stubs: stubs }
          @points = points
          @cap = cap
          @allow = allow.map(&:to_s)
          @snapshot = snapshot
          @example = Example.current!
          @tasks = @example.tasks.dup
        end

        # @return [Result]
        # @raise [Failed]
        def result
          @saved = Service.ask(:save)["id"]
          @failing = @example.faults.left
          Clock.stand do
            @started = Clock.now
            Effects.watch { compare }
          end
        end

        private

        def compare
          before = Snapshot.new(@snapshot.call)
          # An attempt after a crash draws other random values, and finds gaps in the
          # sequences. So does the second run: what they change is no effect of a crash.
          first, second = Array.new(2) { |draw| undisturbed(draw) }
          keep(first.first)
          comparison = Comparison.new(first.last, second.last, Keys.new(before, @given[:context]))
          refuse_nothing(comparison, before, first.last)
          points = Points.new(first.first.trace, @points, @cap)
          points.all.each { |point| crash(point, comparison) }
          keep(first.first)
          Result.new(template: @template.to_s, points: points.all, left_out: points.left_out, not_compared: comparison.not_compared)
        end

        def undisturbed(draw)
          @example.draw = draw
          task, snapshot = run(nil)
          return [task, snapshot] if task.complete?

          raise Failed.new("#{@template} does not become complete without a crash: it is #{task.status}", keep(task))
        ensure
          @example.draw = 0
        end

        # @return [Array(Task, Snapshot)]
        def run(point)
          Service.ask(:restore, id: @saved, gap: @example.draw.positive?)
          Service.ask(:travel, to: @started)
          Clock.set(@started)
          @example.faults.left = @failing
          real = Clock.real
          task = Runs.task(@template, **@given, serial: true, crash: point&.to_h)
          [task, Snapshot.new(@snapshot.call, spans(real, Clock.real))]
        end

        # Between which times the clocks of a run were. The clock of SQL goes on while the
        # suite's may stand still.
        def spans(began, ended)
          [time(@started)..Time.now, time(@started)..time(@started + ended - began), time(began)..time(ended)]
        end

        def crash(point, comparison)
          task, snapshot = run(point)
          lines = not_reached(point, task) || not_complete(task) || different(comparison, snapshot) || repeated(point, task) or return keep(nil)

          raise Failed.new(["#{@template} does not do everything exactly once when its worker dies at this point: #{point}",
                            *lines, "", "What happened:", *Timeline.lines(task.trace)], keep(task))
        end

        def not_reached(point, task)
          return ["the run did not get to this point, so nothing is known of it"] unless task.reached
          return if point.committed? || task.trace.any? { |entry| entry["kind"] == "begin" && entry["step"] == point.step && entry["attempt"] > point.attempt }

          ["the step did not begin again after the crash, so nothing is known of a second time"]
        end

        def not_complete(task)
          return if task.complete?

          failed = task.steps.find(&:error)
          ["the task is #{task.status} after it#{"; #{failed.name}: #{failed.error}" if failed}"]
        end

        def different(comparison, snapshot)
          comparison.difference(snapshot)
        end

        def repeated(point, task)
          lines = Repeated.in(task.trace, point, @allow)
          lines unless lines.empty?
        end

        def refuse_nothing(comparison, before, first)
          raise Failed, "the block returns no rows, so there is nothing to compare: have it return what the task writes" if before.empty? && first.empty?
          return unless comparison.nothing?

          raise Failed, ["nothing is left to compare, because two undisturbed runs differ in all:", *comparison.not_compared.map { |what| "  #{what}" }]
        end

        # The report of the example has one of the many tasks.
        def keep(task)
          @example.tasks.replace([*@tasks, *task])
          task
        end

        def time(micro)
          Time.at(Rational(micro, 1_000_000))
        end
      end

      # Keeps a failure from being the cause of the framework's own, which would print it
      # again.
      #
      # @return [Array(Result, nil), Array(nil, String)]
      def self.attempt
        [yield, nil]
      rescue Failed => e
        [nil, e.message]
      end

      # @return [Result]
      # @raise [Failed]
      def self.check(template, context:, points:, cap:, allow:, stubs:, &snapshot)
        raise ArgumentError, "assert_exactly_once needs a block that returns rows of the database" unless snapshot

        result = Check.new(template, context, points, cap, Array(allow), stubs, snapshot).result
        Example.current!.warnings << result.to_s if result.left_out.positive? || result.not_compared.any?
        result
      end
    end
  end
end
