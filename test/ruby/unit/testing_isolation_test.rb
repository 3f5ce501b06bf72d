# frozen_string_literal: true

require_relative "testing_helper"
require "logger"
require "stringio"

class TestingIsolationTest < Minitest::Test
  include TestingHelper

  module Existing; end
  GONE = Object.new

  def test_an_example_leaves_nothing
    before = [ENV.to_h, $stdout, $stderr, $PROGRAM_NAME, Tasker::Events.subscriptions, Tasker.instance_variable_get(:@logger)]
    ENV["TASKER_ISOLATION"] = "1"
    ENV.delete("PATH")
    $stdout = StringIO.new
    $stderr = StringIO.new
    $PROGRAM_NAME = "another"
    Tasker::Events.subscribe { nil }
    Tasker.logger = Logger.new(nil)
    end_example

    assert_equal before, [ENV.to_h, $stdout, $stderr, $PROGRAM_NAME, Tasker::Events.subscriptions, Tasker.instance_variable_get(:@logger)]
  end

  def test_constants_of_the_spec_file
    Object.const_set(:TaskerIsolationNew, Class.new)
    Dir.mktmpdir do |dir|
      File.write("#{dir}/other.rb", "TaskerIsolationOther = 1")
      load "#{dir}/other.rb"
    end
    own = Tasker::Testing::Service
    verbose, $VERBOSE = $VERBOSE, nil
    Object.const_set(:FakeEngine, Class.new)
    $VERBOSE = verbose
    end_example

    refute Object.const_defined?(:TaskerIsolationNew)
    assert Object.const_defined?(:TaskerIsolationOther)
    assert FakeEngine.method_defined?(:requests)
    assert_same own, Tasker::Testing::Service
  ensure
    Object.send(:remove_const, :TaskerIsolationOther)
  end

  def test_a_constant_that_was_removed
    Object.const_set(:TaskerIsolationThere, GONE)
    constants = Tasker::Testing::Constants.new(__FILE__)
    Object.send(:remove_const, :TaskerIsolationThere)
    constants.restore
    assert_same GONE, TaskerIsolationThere
  ensure
    Object.send(:remove_const, :TaskerIsolationThere)
  end

  def setup
    super
    end_example
    Tasker::Testing::Example.begin("an example", "#{__FILE__}:1")
  end

end
