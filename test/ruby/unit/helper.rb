# frozen_string_literal: true

ENV["MT_NO_PLUGINS"] = "1" # Minitest 5 would load those of all gems that happen to be installed
require "minitest/autorun"
require "json"
require "open3"
require "rbconfig"
require "tmpdir"
require "tasker"

# What the tests share.
module UnitHelper
  LIB = File.expand_path("../../../rubyhost/ruby/lib", __dir__)

  # A new class below base, or below nothing.
  def handler(base = Tasker::StepHandler::Base, &body)
    Class.new(base, &body)
  end

  def run_step(handler_class, **given)
    Tasker::Testing.run(handler_class, **given)
  end

  # Runs a script in a Ruby of its own, for what may be loaded but once. A class whose tests
  # do little else calls parallelize_me!, so that there is a Ruby for each processor.
  def ruby(script, *options, env: {}, **of_the_process)
    out, status = Open3.capture2e(env, RbConfig.ruby, "-w", "-I#{LIB}", *options, "-e", script, **of_the_process)
    [out, status.success?]
  end

  # Catches what is logged.
  def logged(level: :debug)
    require "logger"
    out = StringIO.new
    Tasker.logger = Logger.new(out, level: level)
    yield
    out.string
  ensure
    Tasker.logger = nil
  end
end

Minitest::Test.include(UnitHelper)
