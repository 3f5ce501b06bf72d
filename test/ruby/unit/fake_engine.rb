# frozen_string_literal: true

require "json"
require "tasker"
require "tasker/testing/api"

# Stands in for the engine: it takes the requests of Tasker::Testing, and runs the
# steps of one template one after the other, each on a thread of its own.
class FakeEngine
  # Seconds that it waits between two attempts.
  BACKOFF = 60
  Definition = Struct.new(:name, :handler, :parents, :limit)

  attr_reader :requests
  attr_accessor :unmet, :warnings, :seed, :expire, :trace

  def initialize
    @requests = []
    @steps = []
    @unmet = []
    @warnings = []
    @ahead = 0
    @task_id = 0
  end

  def step(name, handler, after: [], limit: 3)
    @steps << Definition.new(name, handler, after, limit)
    self
  end

  def call(text)
    request = JSON.parse(text)
    @requests << request
    reply = respond_to?(request["op"], true) ? __send__(request["op"], request) : {}
    now = request["now"] + @ahead
    @ahead = 0 # Ruby's clock follows, and its next request is as far
    JSON.generate({ "now" => now, **reply })
  rescue StandardError => e
    JSON.generate({ "error" => e.message, "hint" => "(raised in the fake engine at #{e.backtrace.first})", "now" => request["now"] })
  end

  # The requests of one kind.
  def asked(operation)
    @requests.select { |request| request["op"] == operation }
  end

  private

  def end(_request) = { "unmet" => @unmet, "warnings" => @warnings }

  def step_begin(_request) = { "seed" => @seed, "expire_in_sleep" => @expire == true }

  def travel(request) = { "now" => request["to"] }

  def run_task(request)
    @stubs = request["stubs"]
    @context = request["context"]
    @task_id += 1
    @results = {}
    steps = @steps.map { |definition| run_step_of(definition) }
    failed = steps.any? { |step| step["status"] == "error" }
    task = { "task_id" => @task_id, "namespace" => "default", "name" => request["template"], "version" => "0.1.0", "context" => @context,
             "status" => failed ? "error" : "complete", "steps" => steps,
             "events" => steps.map { |step| { "kind" => "step.#{step["status"]}", "step" => step["name"], "attempt" => 1, "at" => at(request) } },
             "history" => [{ "at" => at(request), "what" => "task", "step" => nil, "attempt" => nil, "from" => "pending", "to" => "complete", "by" => "worker", "reason" => nil }] }
    { "task" => task, "trace" => @trace || [], "reached" => nil }
  end

  def run_step_of(definition)
    step = { "name" => definition.name, "handler_class" => definition.handler.to_s, "status" => "pending", "attempts" => 0, "losses" => 0,
             "results" => nil, "depends_on" => definition.parents, "error" => nil, "tries" => [], "sql" => [] }
    return step unless definition.parents.all? { |parent| @results.key?(parent) }

    attempt(step, definition) while %w[pending waiting_for_retry].include?(step["status"])
    step
  end

  def attempt(step, definition)
    number = step["attempts"] += 1
    value = @stubs.fetch(definition.name) { run_handler(definition, number) }
    step.update("status" => "complete", "results" => JSON.parse(JSON.generate(value)))
    @results[definition.name] = step["results"]
    step["tries"] << { "number" => number, "outcome" => "complete", "started_at" => nil, "ended_at" => nil, "error" => nil }
  rescue Exception => e # rubocop:disable Lint/RescueException
    raise if defined?(CrashingEngine) && e.is_a?(CrashingEngine::Crash)

    report = Tasker::Execution.describe(e)
    error = report.slice("class", "message", "backtrace", "error_code").merge("retryable" => !report["permanent"], "cause" => nil)
    over = report["permanent"] || number >= definition.limit
    step.update("status" => over ? "error" : "waiting_for_retry", "error" => error)
    step["tries"] << { "number" => number, "outcome" => "error", "started_at" => nil, "ended_at" => nil, "error" => error }
    @ahead += BACKOFF * 1_000_000 unless over
  end

  def run_handler(definition, number)
    documents = Tasker::Testing.__send__(:segments, definition.handler.to_s, context: @context, results: @results, config: {},
                                                                             step: { name: definition.name, attempts: number }, task: { task_id: @task_id })
    Thread.new do
      Thread.current.report_on_exception = false
      Tasker::Execution.run(definition.handler, Tasker::Segments.new(documents))
    end.value
  end

  def at(request) = Time.at(request["now"] / 1_000_000).utc.iso8601
end
