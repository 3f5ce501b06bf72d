# frozen_string_literal: true

require_relative "helper"
require_relative "fake_engine"
require "tasker/testing/api"

# What the tests of Tasker::Testing share: an engine, and an example around each test.
module TestingHelper
  include Tasker::Testing::API

  def setup
    super
    @engine = FakeEngine.new
    Tasker::Testing::Service.transport = @engine
    Tasker::Testing::Example.begin("an example", "#{__FILE__}:1")
  end

  def teardown
    Tasker::Testing::Example.end
  ensure
    Tasker::Testing::Service.transport = nil
    super
  end

  # Ends the example before the test is over.
  def end_example
    Tasker::Testing::Example.end
  end
end
