# frozen_string_literal: true

require "minitest/autorun"
require "tasker/testing"

class ExactDiamondTest < Minitest::Test
  def test_every_digit_arrives
    task = run_task("exact_diamond", context: { base: 2, exponent: 200 })

    assert_complete task
    assert_equal 2**400, task.step("square").results["square"]
    assert_equal (2**400) - 1, task.step("compare").results["product"]
  end

  def test_a_float_on_the_way_is_found
    task = run_task("exact_diamond", context: { base: 2, exponent: 200 }, stubs: { square: { square: (2.0**400).to_i + 2 } })

    assert_failed_with task, Tasker::PermanentError, code: "INEXACT"
  end

  def test_the_branches_may_fail_and_come_again
    fail_step "square", with: "the calculator is warm", times: 2

    task = run_task("exact_diamond", context: { base: 10, exponent: 3 })

    assert_complete task
    assert_equal 3, task.step("square").attempts
  end

  def test_two_workers_on_one_task
    assert_complete run_task("exact_diamond", context: { base: 3, exponent: 7 }, workers: 2)
  end
end
