# frozen_string_literal: true

require_relative "testing_helper"
require "tasker/testing/assertions"
require "tasker/testing/report"

class TestingChecksTest < Minitest::Test
  include TestingHelper
  include Tasker::Testing::Assertions

  class Declined < Tasker::PermanentError; end

  # A task as the engine describes it.
  def task(**more)
    Tasker::Testing::Task.new({ "task" => JSON.parse(JSON.generate({
      task_id: 12, namespace: "shop", name: "order", version: "1.0.0", status: "error", context: {},
      steps: [
        { name: "reserve", status: "complete", attempts: 1, results: { cents: 5, at: "x" }, depends_on: [], started_at: "2030-01-01T00:00:00Z", completed_at: "2030-01-01T00:00:01Z" },
        { name: "charge_card", status: "error", attempts: 2, depends_on: ["reserve"], started_at: "2030-01-01T00:00:01Z",
          error: { class: "TestingChecksTest::Declined", message: "no money", error_code: "DECLINED", retryable: false,
                   backtrace: ["/usr/lib/ruby/3.1.0/net/http.rb:1:in `x'", "#{__FILE__}:3:in `charge'"], cause: { class: "KeyError", message: "key", backtrace: [] } },
          sql: [{ attempt: 1, sql: "SELECT 1", rows: 1, milliseconds: 0.21, error: nil }, { attempt: 2, sql: "SELECT\n 2", rows: 0, milliseconds: 1, error: nil }] },
        { name: "ship", status: "pending", attempts: 0, depends_on: %w[reserve charge_card] }
      ],
      history: [{ at: "2030-01-01T00:00:02Z", what: "step", step: "charge_card", attempt: 2, from: "in_progress", to: "error", by: "worker", reason: "declined" }], **more
    })) }, Tasker::Testing::Observed.new)
  end

  def refused(pattern, &block)
    assert_match(pattern, assert_raises(Minitest::Assertion, &block).message)
  end

  def test_complete
    assert_complete task.step("reserve")
    assert_complete task(status: "complete")
    refused(/the task order to be complete, but it is error: reserve complete, charge_card error with .*Declined \(DECLINED\): no money, ship pending/) { assert_complete task }
    refused(/the step ship to be complete, but it is ship pending/) { assert_complete task.step("ship") }
  end

  def test_step
    assert_step task, :reserve, results: { cents: 5 }, status: :complete, attempts: 1
    assert_step task, "reserve", results: { cents: Integer, "at" => /x/ }
    assert_step task, "charge_card", after: "reserve", attempts: 2
    refused(/has none|has no/) { assert_step task, "chargecard" }
    refused(/did you mean charge_card/) { assert_step task, "chargecard" }
    refused(/the step reserve to have results \{:cents=>6\}, but they are \{"cents"=>5, "at"=>"x"\}|results {cents: 6}/) { assert_step task, "reserve", results: { cents: 6 } }
    huge = task(steps: [{ name: "reserve", status: "complete", results: { text: "é" * 1_000_000 } }])
    refused(/they are \{"text" ?=> ?"é{1900,2000}… \(1000\d\d\d characters\)\z/) { assert_step huge, "reserve", results: { text: 1 } }
    refused(/to have 3 attempts, but there were 2/) { assert_step task, "charge_card", attempts: 3 }
    refused(/to have 3 attempts, but there was 1/) { assert_step task, "reserve", attempts: 3 }
    refused(/to have status complete, but it is error with .*no money/) { assert_step task, "charge_card", status: "complete" }
    refused(/beginning after charge_card, but reserve began at 2030-01-01T00:00:00.000Z/) { assert_step task, "reserve", after: "charge_card" }
  end

  def test_failed_with
    assert_failed_with task, Declined, code: "DECLINED", message: /money/
    assert_failed_with task, Tasker::PermanentError
    assert_failed_with task.step("charge_card"), "TestingChecksTest::Declined", code: :DECLINED
    refused(/to have failed with KeyError, code X, but charge_card failed with TestingChecksTest::Declined \(DECLINED\): no money/) { assert_failed_with task, KeyError, code: "X" }
    refused(/no step has failed; it is reserve complete/) { assert_failed_with task.step("reserve"), KeyError }
  end

  def test_committed
    assert_committed [1]
    assert_committed [], 0
    refused(/expected a committed row, but there are 0: \[\]/) { assert_committed [] }
    refused(/expected 2 committed rows, but there is 1: \[1\]/) { assert_committed [1], 2 }
    dataset = Struct.new(:count, :sql).new(3, "SELECT * FROM charges")
    assert_committed dataset, 3
    refused(/expected 1 committed row, but there are 3: SELECT \* FROM charges/) { assert_committed dataset, 1 }
  end

  def test_published
    @engine.step("charge", handler { def process(*) = publish_event("payment.charged", cents: 5) })
    task = run_task("x")
    assert_published task, "payment.charged", cents: 5
    assert_published task, :step_completed, step_name: "charge"
    refused(/payment.charged to have been published with .*6.*, but it was with .*5/) { assert_published task, "payment.charged", cents: 6 }
    refused(/only these were: step.execution_requested, step.before_handle, payment.charged, step.completed/) { assert_published task, "payment.refunded" }
  end

  def test_the_report
    lines = Tasker::Testing::Report.of_task(task)
    assert_equal <<~TEXT.chomp, lines.join("\n")
      The task shop/order 1.0.0 is error:
        +  reserve      complete  1 attempt
        x  charge_card  error     2 attempts  <- reserve
        .  ship         pending               <- reserve, charge_card

      charge_card failed in attempt 2:
        TestingChecksTest::Declined (DECLINED): no money
          #{__FILE__.delete_prefix("#{Dir.pwd}/")}:3:in `charge'
          (/usr/lib/ruby/3.1.0/net/http.rb:1:in `x')
        caused by KeyError: key
      SQL of attempt 2:
        SELECT 2 (0 rows, 1 ms)

      History:
        2030-01-01 00:00:02.000  charge_card, attempt 2: in_progress -> error (declined)
    TEXT
    assert_equal 4, Tasker::Testing::Report.of_task(task(status: "complete", steps: task.instance_variable_get(:@fields)["steps"].first(1).cycle(3).to_a)).size
  end
end
