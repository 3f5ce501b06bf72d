# frozen_string_literal: true

require_relative "helper"

# Task, Sequence and Step on the documents that the host sends.
class SequenceTest < Minitest::Test
  def head(id, name, **more)
    { workflow_step_id: id, task_id: 9, name: name, description: "about #{name}", dependent_system: "shop",
      status: "pending", attempts: 0, retry_limit: 3, retryable: true, processed: false, in_process: false,
      inputs: nil, last_attempted_at: nil, backoff_request_seconds: nil, parents: [], children: [],
      handler_class: "X" }.merge(more)
  end

  def segments
    own = head(12, "join", status: "in_progress", attempts: 2, in_process: true, parents: %w[left right],
                           children: %w[after], inputs: { a: { b: 1 } }, last_attempted_at: "2025-03-04T05:06:07.5Z",
                           backoff_request_seconds: 1.5)
    heads = [
      head(10, "left", status: "complete", attempts: 1, processed: true, children: %w[join]),
      head(11, "right", status: "resolved_manually", children: %w[join]),
      own,
      head(13, "after", parents: %w[join])
    ]
    task = { task_id: 9, name: "report", namespace_name: "ns", version: "1.2.0", status: "in_progress",
             tags: %w[vip], initiator: "cli", source_system: "web", reason: "test",
             created_at: "2025-03-04T05:06:07Z" }
    [task, { order: 1 }, own, { k: { v: 1 } }, heads].map { |v| JSON.generate(v) } +
      ["", "left", '{"sum": 18446744073709551617, "rows": [1]}', "right", "null"]
  end

  def setup
    @segments = segments
    @sequence = Tasker::Sequence.new(@segments)
    @task = @sequence.task
    @step = @sequence.current_step
  end

  def test_the_task
    assert_equal [9, 9], [@task.task_id, @task.id]
    assert_equal %w[report ns 1.2.0 in_progress], [@task.name, @task.namespace_name, @task.version, @task.status]
    assert_equal ["vip"], @task.tags
    assert_equal %w[cli web test], [@task.initiator, @task.source_system, @task.reason]
    assert_equal Time.utc(2025, 3, 4, 5, 6, 7), @task.created_at
    assert_equal 1, @task.context[:order]
    assert_same @task.context, @task.context
    assert_equal %w[left right join after], @task.workflow_steps.map(&:name)
    assert_same @step, @task.get_step_by_name("join")
    refute_predicate @task, :all_steps_complete?
    assert_equal "#<Tasker::Task 9 ns/report 1.2.0 (in_progress)>", @task.inspect
  end

  def test_steps_are_found_in_every_way
    left = @sequence.find_step_by_name("left")

    assert_same left, @sequence[:left]
    assert_same left, @sequence[0]
    assert_same left, @sequence.steps.first
    assert_same left, @sequence.find { |step| step.name == "left" }
    assert_same @step, @sequence.find_step_by_name(:join)
    assert_same @step, @sequence.steps[2]
    assert_nil @sequence.find_step_by_name("nobody")
    assert_nil @sequence.find_step_by_name(nil)
    assert_nil @sequence.find_step_by_name("nobody")&.results&.dig("x")
    assert_equal 4, @sequence.size
    refute_empty @sequence
    assert_equal "#<Tasker::Sequence left, right, join, after>", @sequence.inspect
  end

  def test_results_are_plain_and_exact
    results = @sequence.find_step_by_name("left").results

    assert_instance_of Hash, results
    assert_equal (2**64) + 1, results["sum"]
    assert_equal({ "sum" => (2**64) + 1, "rows" => [1] }, @sequence.get_results("left"))
    assert_nil @sequence.get_results("right"), "its results are null"
    assert_equal({}, @sequence.get_results("after"), "a step that has not run")
    assert_nil @sequence.get_results("nobody")
  end

  # Runs a handler as the step own: first <- second <- own <- later, and other by itself.
  def log_of(&body)
    heads = [["first"], ["second", "first"], ["own", "second"], ["later", "own"], ["other"], ["another"], ["one_more"]].map { |name, *parents| head(1, name, parents: parents) }
    segments = [{ task_id: 9 }, {}, heads[2], {}, heads].map { |document| JSON.generate(document) } + [""]
    handler = Class.new(Tasker::StepHandler::Base) { define_method(:process) { |_task, sequence, _step| body.call(sequence) } }
    logged do
      Tasker::Execution.run(handler, segments)
    rescue StandardError => e
      assert_kind_of StandardError, e
    end
  end

  def test_a_warning_of_results_that_are_read_in_vain
    said = log_of { |sequence| 2.times { sequence.get_results("other")["v"] } }
    assert_equal 1, said.lines.size, said
    assert_includes said, 'step "own" reads the results of "other", which it does not depend on; they may not be there yet: add "other" to depends_on_steps'
    assert_includes log_of { |sequence| raise ArgumentError, sequence["other"].results["v"].inspect }, 'add "other" to depends_on_steps'
    assert_includes log_of { |sequence| sequence.get_results(:later) }, 'step "own" reads the results of "later", which depends on it; they are not there yet'
  end

  def test_no_warning
    assert_empty log_of { |sequence| [sequence.get_results("first"), sequence["second"].results, sequence["own"].results] }
    assert_empty log_of { |sequence| sequence["other"].status }
    assert_empty log_of { |sequence| sequence.get_results("nobody") }
    assert_empty log_of { |sequence| sequence.map(&:results) }, "it goes through all of them"
    assert_empty log_of { |sequence| sequence["other"].results["v"].upcase }, "the error has it"
  end

  def test_finding_results_parses_nothing_else
    @segments[0] = @segments[1] = @segments[2] = @segments[3] = @segments[4] = "not JSON"

    assert_equal [1], @sequence.find_step_by_name("left").results["rows"]
  end

  def test_the_step_being_run
    assert_equal({}, @step.results)
    assert_same @step.results, @step.results
    assert_equal [12, 12, 9], [@step.workflow_step_id, @step.id, @step.task_id]
    assert_equal ["join", "about join", "shop", "X"],
                 [@step.name, @step.description, @step.dependent_system, @step.handler_class]
    assert_equal [2, 3], [@step.attempts, @step.retry_limit]
    assert_equal [true, false, true], [@step.retryable, @step.processed, @step.in_process]
    assert_equal 1, @step.inputs[:a]["b"]
    assert_equal Time.utc(2025, 3, 4, 5, 6, 7.5r), @step.last_attempted_at
    assert_equal 1.5, @step.backoff_request_seconds
    assert_equal 1, @step.handler_config[:k][:v]
    assert_equal %w[left right], @step.parents.map(&:name)
    assert_equal %w[after], @step.children.map(&:name)
    assert_same @task, @step.task
    assert_equal "#<Tasker::Step join (in_progress, attempt 2 of 3)>", @step.inspect
    assert_nil @sequence["left"].handler_config
  end

  def test_predicates_of_states
    left, right, join, after = @sequence.steps

    assert_equal [true, true, false, false], [left, right, join, after].map(&:complete?)
    assert_predicate join, :in_progress?
    assert_predicate after, :pending?
    assert_predicate right, :resolved_manually?
    refute_predicate after, :in_error?
    refute_predicate after, :cancelled?
    assert_predicate left, :root_step?
    assert_predicate after, :leaf_step?
    refute_predicate join, :root_step?
    refute_predicate join, :leaf_step?
    assert_predicate join, :dependencies_satisfied?
    refute_predicate after, :dependencies_satisfied?
    refute_predicate after, :ready?
  end

  def step_with(**head)
    Tasker::Testing.sequence(step: head).current_step
  end

  def test_predicates_of_retries
    fresh = step_with(status: "pending", attempts: 0, retryable: false)
    assert_predicate fresh, :ready?, "the first attempt is always allowed"
    assert_predicate fresh, :ready_status?
    refute_predicate fresh, :has_retry_attempts?

    used_up = step_with(status: "error", attempts: 3)
    assert_predicate used_up, :in_error?
    assert_predicate used_up, :retry_exhausted?
    refute_predicate used_up, :retry_eligible?
    refute_predicate used_up, :can_retry_now?

    failed = step_with(status: "error", attempts: 1)
    assert_predicate failed, :can_retry_now?
    refute_predicate failed, :waiting_for_backoff?

    waiting = step_with(status: "waiting_for_retry", attempts: 1, backoff_request_seconds: 600,
                        last_attempted_at: Time.now.iso8601)
    assert_predicate waiting, :waiting_for_retry?
    assert_predicate waiting, :waiting_for_backoff?
    refute_predicate waiting, :ready?
    refute_predicate waiting, :can_retry_now?
    refute_predicate step_with(status: "error", attempts: 1, retryable: false), :retry_eligible?
    refute_predicate step_with(status: "cancelled"), :ready_status?
  end

  def test_steps_and_tasks_are_equal_by_their_ids
    other = Tasker::Sequence.new(segments)

    assert_equal @step, other.current_step
    assert_equal @step, other["join"]
    refute_equal @step, other["left"]
    assert_equal @task, other.task
    assert_equal 1, [@step, other.current_step].uniq.size
  end

  def test_inputs_are_a_copy_of_the_tasks_context
    sequence = Tasker::Testing.sequence(context: { a: { b: 1 } }, step: { inputs: nil }, results: { first: {} })
    step = sequence.current_step
    step.inputs[:a][:b] = 2

    assert_equal [2, 1], [step.inputs[:a][:b], sequence.task.context[:a][:b]]
    assert_equal 1, sequence["first"].inputs["a"]["b"]
    refute_predicate step, :skippable
    assert_predicate Tasker::Testing.sequence(step: { skippable: true }).current_step, :skippable?
  end

  def test_siblings
    assert_empty @sequence["left"].siblings, "a step that depends on nothing has none"
    assert_empty @step.siblings
    heads = [%w[a], %w[b], %w[one a], %w[two a], %w[three a b], %w[four b a]].map do |name, *parents|
      { name: name, workflow_step_id: name.hash, parents: parents, children: [] }
    end
    heads.first(2).each { |head| head[:children] = heads.filter_map { |other| other[:name] if other[:parents].include?(head[:name]) } }
    sequence = Tasker::Sequence.new([{}, {}, heads.last, {}, heads].map { |v| JSON.generate(v) })

    assert_equal [[], %w[two], %w[four], %w[three]], %w[a one three four].map { |name| sequence[name].siblings.map(&:name) }
  end

  def test_as_hashes
    assert_equal @sequence.steps, @sequence.to_h[:steps]
    assert_equal({ "left" => 1 }, @sequence.to_h { |step| [step.name, 1] }.slice("left"))
    assert_equal [@task.task_id, @task.context.to_h], @task.to_h.values_at(:task_id, :context)
    assert_equal ["join", %w[left right], 2, { "a" => { "b" => 1 } }], @step.to_h.values_at(:name, :parents, :attempts, :inputs)
    assert_instance_of Hash, JSON.parse(JSON.generate(@task.to_h))
  end

  def test_each
    assert_equal %w[left right join after], @sequence.each.map(&:name)
    assert_same(@sequence, @sequence.each { |step| step })
    assert_equal @sequence.steps, @sequence.to_a
  end
end
