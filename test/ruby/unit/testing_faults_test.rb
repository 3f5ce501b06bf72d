# frozen_string_literal: true

require_relative "testing_helper"

class TestingFaultsTest < Minitest::Test
  include TestingHelper

  class Busy < StandardError
    def initialize(gateway:) = super("#{gateway} is busy")
  end

  def charge
    @engine.step("charge", handler { def process(*) = { charged: true } })
  end

  def test_a_step_fails_as_often_as_is_asked_for
    charge
    fail_step "charge", with: Tasker::RetryableError.new("busy", retry_after: 5), times: 2
    step = run_task("x").step("charge")

    assert_equal 3, step.attempts
    assert_equal ["busy", "busy", nil], step.tries.map { |try| try.error&.message }
    assert_equal({ "charged" => true }, step.results)
    assert_match(/#{__FILE__}:\d+/o, step.tries.first.error.backtrace.first)
  end

  def test_an_error_may_be_a_class_an_instance_or_a_message
    charge
    fail_step :charge, with: KeyError
    fail_step :charge, with: "no paper"
    fail_step :charge, with: Busy.new(gateway: "acme")
    assert_equal [%w[KeyError RuntimeError TestingFaultsTest::Busy], ["a failure that the test asked for", "no paper", "acme is busy"]],
                 run_task("x").step("charge").tries.map { |try| [try.error.class_name, try.error.message] }.transpose
  end

  def test_what_cannot_be_a_failure
    assert_match(/give fail_step an instance, with: TestingFaultsTest::Busy.new/, assert_raises(ArgumentError) { fail_step "a", with: Busy }.message)
    assert_match(/has to be an exception/, assert_raises(ArgumentError) { fail_step "a", with: String }.message)
    assert_match(/has to be an exception/, assert_raises(ArgumentError) { fail_step "a", with: 5 }.message)
    assert_match(/times: has to be 1 or more/, assert_raises(ArgumentError) { fail_step "a", with: "x", times: 0 }.message)
  end

  def test_a_result_that_cannot_be_represented
    charge
    fail_step "charge", with: :unrepresentable
    step = run_task("x").step("charge")
    assert_match(/NaN/, step.tries.first.error.message)
  end

  def test_the_engines_faults
    timeout_step :charge
    timeout_step "charge", at: :sleep
    timeout_step "charge", at: { statement: 2 }
    kill_host before: :charge
    kill_host during: "charge", real: true
    kill_host after: "charge"
    lose_connection "charge"
    lose_connection "charge", at: { statement: 3 }
    lose_connection "charge", at: :commit
    lose_commit_answer "charge"

    assert_equal [
      ["timeout", "start", nil, false], ["timeout", "sleep", nil, false], ["timeout", "statement", 2, false],
      ["crash", "before", nil, false], ["crash", "during", nil, true], ["crash", "after", nil, false],
      ["connection", "before", nil, false], ["connection", "statement", 3, false], ["connection", "commit", nil, false],
      ["commit_answer", "commit", nil, false]
    ], @engine.asked("fault").map { |fault| fault.values_at("kind", "at", "number", "real") }
    assert_equal [["charge", 1]], @engine.asked("fault").map { |fault| fault.values_at("step", "times") }.uniq
  end

  def test_places_that_a_fault_cannot_have
    assert_match(/:start or :sleep or \{ statement: 1 \}/, assert_raises(ArgumentError) { timeout_step "a", at: :commit }.message)
    assert_raises(ArgumentError) { timeout_step "a", at: { statement: 0 } }
    assert_raises(ArgumentError) { timeout_step "a", at: { start: 1 } }
    assert_raises(ArgumentError) { lose_connection "a", at: :start }
    assert_match(/one of before:, during: and after:/, assert_raises(ArgumentError) { kill_host }.message)
    assert_raises(ArgumentError) { kill_host before: "a", after: "b" }
  end

  def test_faults_that_met_no_attempt
    charge
    run_task("x")
    @engine.unmet = [{ "step" => "chrge", "kind" => "crash", "at" => "before", "number" => nil },
                     { "step" => "charge", "kind" => "connection", "at" => "statement", "number" => 4 }]
    error = assert_raises(Tasker::Testing::Error) { end_example }
    assert_equal <<~TEXT.chomp, error.message
      kill_host "chrge" (before) met no attempt: there is no such step; did you mean charge?
      lose_connection "charge" (statement 4) met no attempt: the step has begun once, and has sent no statement
    TEXT
  end

  def test_a_timeout_in_sleep
    @engine.step("charge", handler do
      def process(*)
        sleep 3600
      rescue Interrupt
        { time: "is up" }
      end
    end)
    @engine.expire = true
    @engine.define_singleton_method(:expire) do |request|
      sleeper = Thread.current # the handler's: the engine interrupts it
      Thread.new { Thread.pass until sleeper.stop? && sleeper.status == "sleep"; sleeper.raise(Interrupt) }
      { "of" => request["step"] }
    end
    assert_equal({ "time" => "is up" }, run_task("x").step("charge").results)
  end

  def test_random_is_the_same_in_every_serial_run
    require "securerandom"
    @engine.step("draw", handler do
      def process(*)
        { numbers: [rand(1_000_000), SecureRandom.uuid, SecureRandom.hex(4), SecureRandom.random_number(1000), [1, 2, 3, 4, 5].shuffle] }
      end
    end)
    @engine.seed = 42
    first = run_task("x").step("draw").results
    assert_equal first, run_task("x").step("draw").results
    @engine.seed = nil
    refute_equal first, run_task("x").step("draw").results
  end

  def test_no_example_draws_what_the_one_before_has_drawn
    @engine.seed = 42
    @engine.step("draw", handler { def process(*) = rand(1_000_000) })
    drawn = [rand(1 << 64)]
    2.times do
      run_task("x")
      drawn << rand(1 << 64)
      end_example
      Tasker::Testing::Example.begin("the next", "x.rb:1")
      drawn << rand(1 << 64)
    end
    assert_equal drawn.uniq, drawn
  end
end
