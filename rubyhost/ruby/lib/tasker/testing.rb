# frozen_string_literal: true

require "tasker"
require_relative "testing/handlers"
require_relative "testing/api"
require_relative "testing/frameworks"

module Tasker
  # Tests of tasks. Under <tt>tasker-rb test</tt> an example runs its tasks through
  # the engine, the interpreter and the database that production has:
  #
  # @example With RSpec
  #   require "tasker/testing"
  #
  #   RSpec.describe "an order" do
  #     it "is charged once the gateway answers" do
  #       fail_step "charge_payment", with: Gateway::Busy, times: 2
  #       task = run_task("order_fulfillment", context: { order_id: 7 })
  #
  #       expect(task).to be_complete
  #       expect(task).to have_step("charge_payment").in(3).attempts
  #     end
  #   end
  #
  # @example With minitest
  #   require "tasker/testing"
  #
  #   class OrderTest < Minitest::Test
  #     def test_it_is_charged
  #       assert_complete run_task("order_fulfillment", context: { order_id: 7 })
  #     end
  #   end
  #
  # To require this file is enough: it gives the methods of {API} to every RSpec
  # example group and to Minitest::Test, whether they are loaded before or after it.
  # Without a host, {Testing.run} and {Testing.sequence} work, and {API#run_task}
  # says what it needs.
  module Testing; end
end

Tasker::Testing::Frameworks.install
