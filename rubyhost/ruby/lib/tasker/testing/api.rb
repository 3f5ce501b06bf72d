# frozen_string_literal: true

require_relative "example"
require_relative "exactly_once"
require_relative "runs"
require_relative "travel"
require_relative "verdict"

module Tasker
  module Testing
    # The methods of examples.
    module API
      # Runs a task to its end, on the engine that production runs. Waits between
      # attempts take no time: the clock jumps.
      #
      # @param template [String] a name, "namespace/name", or the path of a .yaml file
      # @param context [Hash] the task's
      # @param env [String] whose part of the template's environments counts
      # @param version [String, nil] of the template; the newest when nil
      # @param stubs [Hash{String, Symbol => Object}] what stands in for a step's handler:
      #   its results, or a Proc that is called with task, sequence and step, and
      #   returns them. The handler's class need not exist when there are results.
      # @param workers [Integer] how many workers take steps of the task, 1 or 2
      # @param run_at [Time, nil] when its first step may begin
      # @return [Task]
      # @raise [Error] when the engine refuses it: there is no such template, the context
      #   does not fit its schema, a stub is of no step
      # @raise the first expectation that failed in a handler
      # @example
      #   task = run_task("order_fulfillment", context: { order_id: 7 }, stubs: { "charge" => { charged: 1 } })
      #   task.step("ship").results[:tracking]
      def run_task(template, context: {}, env: "test", version: nil, stubs: {}, workers: 1, run_at: nil)
        Runs.task(template, context: context, env: env, version: version, stubs: stubs, workers: workers, run_at: run_at)
      end

      # Runs one step, as the engine does: in its transaction, with its retries.
      #
      # @param handler [Class, String] a handler's class, or the name of a step of +template+
      # @param template [String, nil] as for {#run_task}
      # @param context [Hash] the task's
      # @param results [Hash{String, Symbol => Object}] of the steps that it depends on
      # @param config [Hash] its handler_config, when +handler+ is a class
      # @param attempt [Integer] which one this is
      # @return [Step]
      # @example
      #   step = run_step(ChargePayment, context: { order_id: 7 }, results: { "validate" => { cents: 100 } })
      #   step.results[:charged_cents]
      def run_step(handler, template: nil, context: {}, results: {}, config: {}, attempt: 1)
        Runs.step(handler, template: template, context: context, results: results, config: config, attempt: attempt)
      end

      # Sets the clock ahead. With a block it goes back afterwards, unless a task has
      # run in this example: a task never sees time go back.
      #
      # @param duration [Numeric, ActiveSupport::Duration] seconds
      # @return [Object] what the block returns
      # @example
      #   travel(3 * 24 * 3600)
      def travel(duration, &block)
        Travel.by(duration, &block)
      end

      # Sets the clock. Before the example's first task it may also go back.
      #
      # @param time [Time, DateTime, Date]
      # @return [Object] what the block returns
      # @see #travel
      def travel_to(time, &block)
        Travel.to(time, &block)
      end

      # Has the next attempts of a step fail, without their handler.
      #
      # @param step [String, Symbol]
      # @param with [Class, Exception, String, :unrepresentable] an exception, its class,
      #   or a message; or a result that JSON cannot hold
      # @param times [Integer] how many attempts
      # @return [nil]
      # @example
      #   fail_step "charge", with: Tasker::RetryableError.new("busy", retry_after: 30), times: 2
      def fail_step(step, with:, times: 1)
        Example.current!.faults.fail_step(step.to_s, with, times, caller)
      end

      # Has a step's time be up, wherever its timeout_seconds are.
      #
      # @param step [String, Symbol]
      # @param at [:start, :sleep, Hash] before its code, when it sleeps, or
      #   <tt>{ statement: 2 }</tt>
      # @return [nil]
      def timeout_step(step, at: :start)
        Faults.ask(step, :timeout, at, %i[start sleep statement])
      end

      # Has the worker die, and another one go on. By default the engine is cut off and
      # this process lives on. With +real+ a child process is killed; it knows nothing
      # of doubles, of stubs that are Procs, and of what the example has set in ENV.
      #
      # @param before [String, Symbol, nil] a step: its code has not begun
      # @param during [String, Symbol, nil] a step: its code has run, and nothing is recorded
      # @param after [String, Symbol, nil] a step: it is committed
      # @return [nil]
      def kill_host(before: nil, during: nil, after: nil, real: false)
        given = { before: before, during: during, after: after }.compact
        raise ArgumentError, "kill_host takes one of before:, during: and after:, with a step's name" unless given.size == 1

        Faults.ask(given.values.first, :crash, given.keys.first, %i[before during after], real: real)
      end

      # Has the step lose its connection to the database.
      #
      # @param step [String, Symbol]
      # @param at [:before, :commit, Hash] at its first statement, at its commit, or
      #   <tt>{ statement: 2 }</tt>
      # @return [nil]
      def lose_connection(step, at: :before)
        Faults.ask(step, :connection, at, %i[before statement commit])
      end

      # Has the step commit, and the answer be lost.
      #
      # @param step [String, Symbol]
      # @return [nil]
      def lose_commit_answer(step)
        Faults.ask(step, :commit_answer, :commit, %i[commit])
      end

      # Shows that no crash can do a thing twice. The task runs twice undisturbed, and
      # then once for each point at which its worker can die: before each step's code,
      # before and after each statement, before and after each commit. After each run
      # the block's rows have to be those of the undisturbed runs. Generated keys may
      # have other values, if they connect the same rows. The order of rows does not
      # count, and neither does what differs without a crash.
      #
      # Effects outside the database fail it when the crash had them happen twice:
      # HTTP requests, sockets, files that are written, processes. What C code does by
      # itself is not seen.
      #
      # @param template [String] as for {#run_task}
      # @param context [Hash] the task's
      # @param points [nil, Symbol, String, Array] :begins, :statements, :commits, and
      #   names of steps; all when nil
      # @param cap [Integer] how many points at most
      # @param allow [Symbol, Array<Symbol>] kinds of effects that may happen twice:
      #   :http, :socket, :file, :process, :other
      # @param stubs [Hash] as for {#run_task}
      # @yieldreturn [Array<Hash>, Hash{String, Symbol => Array<Hash>}] rows, or rows by
      #   name; also datasets of Sequel and relations of ActiveRecord
      # @return [ExactlyOnce::Result] with +passed+, the number of points
      # @raise the framework's failure, with the first difference and what happened
      # @example
      #   assert_exactly_once("order_fulfillment", context: { order_id: 7 }) do
      #     { orders: Tasker.db.exec("SELECT * FROM orders"), charges: Tasker.db.exec("SELECT * FROM charges") }
      #   end
      def assert_exactly_once(template, context: {}, points: nil, cap: 200, allow: [], stubs: {}, &snapshot)
        result, failed = ExactlyOnce.attempt { ExactlyOnce.check(template, context: context, points: points, cap: cap, allow: allow, stubs: stubs, &snapshot) }
        return Verdict.failed(self, failed) if failed

        Verdict.passed(self)
        result
      end
    end
  end
end
