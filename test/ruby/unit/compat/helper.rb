# frozen_string_literal: true

require_relative "../helper"
require "logger"
require "tasker/compat/tasker_core"

# What the suites of the compatibility layer share. They run in a Ruby of their own,
# because the layer stays loaded.
module CompatHelper
  Core = TaskerCore::StepHandler::Base
  Result = TaskerCore::Types::StepHandlerCallResult

  def core(&body) = Class.new(Core, &body)

  def refused(handler_class, method = nil)
    assert_raises(Tasker::HandlerError) { Tasker::Execution.check(handler_class, method) }.message
  end

  # The report of the error that a run raises.
  def report(handler_class, **given)
    run_step(handler_class, **given)
    flunk "nothing was raised"
  rescue Tasker::Error, StandardError => e
    raise if e.is_a?(Minitest::Assertion)

    Tasker::Execution.describe(e)
  end

  QUIET = Logger.new(nil)
  Tasker.logger = QUIET

  def teardown
    Tasker.logger = QUIET
    super
  end
end

Minitest::Test.include(CompatHelper)
