# frozen_string_literal: true

require_relative "helper"
require "fileutils"

# Folders of handlers beside the old gem's own files.
class FilesSuite < Minitest::Test
  def setup
    @dir = File.realpath(Dir.mktmpdir("handlers"))
    @load_path = $LOAD_PATH.dup
  end

  def teardown
    $LOAD_PATH.replace(@load_path)
    FileUtils.remove_entry(@dir)
    super
  end

  def write(path, text)
    full = File.join(@dir, path)
    FileUtils.mkdir_p(File.dirname(full))
    File.write(full, text)
    full
  end

  OLD_ERRORS = <<~RUBY
    module TaskerCore
      module Errors
        class Error < StandardError; end
        class ConfigurationError < Error; end
        class ProceduralError < Error; end
        class OrchestrationError < Error; end
        class DatabaseError < Error; end
        class RetryableError < ProceduralError; end
        class PermanentError < ProceduralError; end
        class TimeoutError < ProceduralError; end
        class NetworkError < ProceduralError; end
        class ValidationError < PermanentError; end
        class NotFoundError < PermanentError; end
        class FFIError < Error; end
        class ServerError < Error; end
        LOADED = true
      end
    end
  RUBY

  def test_an_old_file_of_errors_is_replaced
    write("lib/tasker_core/errors.rb", OLD_ERRORS)
    write("lib/tasker_core/own_helper.rb", "OwnHelper = 1\n")
    write("handlers/pay.rb", <<~RUBY)
      require_relative "../lib/tasker_core/errors"
      require_relative "../lib/tasker_core/own_helper.rb"
      class FilesPay < TaskerCore::StepHandler::Base
        def call(_context) = raise(TaskerCore::Errors::PermanentError.new("no", error_code: "E"))
      end
    RUBY
    loader = Tasker::HandlerLoader.new
    loader.load_dir(File.join(@dir, "handlers"))

    assert report(loader.resolve("FilesPay"))["permanent"]
    refute TaskerCore::Errors.const_defined?(:LOADED)
    assert_equal 1, OwnHelper
  end

  def test_a_copy_of_the_errors_under_another_name_does_not_clash
    Tasker.logger = Object.new
    load write("copied.rb", OLD_ERRORS.sub("LOADED", "COPIED"))

    assert TaskerCore::Errors::COPIED
    assert report(core { def call(_context) = raise(TaskerCore::Errors::ValidationError, "x") })["permanent"]
  end

  def test_the_old_errors_may_come_first
    first = write("first.rb", OLD_ERRORS)
    out, ok = ruby(<<~RUBY)
      require "tasker"
      load #{first.inspect}
      require "tasker/compat/tasker_core"
      errors = TaskerCore::Errors
      print [errors::ConfigurationError, errors::PermanentError, errors::RetryableError].map { |c| Tasker::Execution.describe(c.new("x"))["permanent"] }
    RUBY
    assert ok, out
    assert_equal "[true, true, false]", out.lines.last
  end

  # An application's own lib/tasker/errors.rb is not the gem's, which has engine.rb beside it.
  [["the gem's", true, "nil"], ["an application's", false, '"own"']].each do |whose, engine, seen|
    define_method(:"test_a_file_of_errors_for_tasker_engine_that_is_#{whose}") do
      write("lib/tasker/errors.rb", "module Tasker\n  class FilesOwn < Error; end\nend\nFILES_LOADED = 'own'\n")
      write("lib/tasker/engine.rb", "raise 'it needs Rails'\n") if engine
      file = write("handlers/pay.rb", "require_relative '../lib/tasker/errors'\n")
      out, ok = ruby("require 'tasker'\nrequire 'tasker/compat/rails'\nload #{file.inspect}\nprint (FILES_LOADED rescue nil).inspect")

      assert ok, out
      assert_equal seen, out.lines.last
    end
  end

  def test_the_gem_need_not_be_required
    write("handlers/pay.rb", "require 'tasker_core'\nrequire 'tasker_core/step_handler'\nFilesRequired = Class.new(TaskerCore::StepHandler::Base) { def call(_context) = 7 }\n")
    loader = Tasker::HandlerLoader.new
    loader.load_dir(File.join(@dir, "handlers"))

    assert_equal 7, run_step(loader.resolve("FilesRequired"))
    assert_raises(LoadError) { require "tasker_core/files_suite_has_none" }
    out, = ruby("require 'tasker'\nbegin\nrequire 'tasker_core'\nrescue LoadError => e\nprint Tasker::Hints.of(e)\nend")
    assert_match(%r{require "tasker/compat/tasker_core"}, out)
  end

  def test_a_missing_file_is_still_an_error
    write("handlers/needs.rb", "require_relative 'not_here'\n")
    error = assert_raises(Tasker::HandlerError) { Tasker::HandlerLoader.new.load_dir(File.join(@dir, "handlers")) }
    assert_match(%r{handlers/needs\.rb:1: LoadError: cannot load such file -- .*handlers/not_here}, error.message)
    assert_raises(LoadError) { eval("require_relative 'x'") } # rubocop:disable Security/Eval
  end

  def test_task_handlers_are_loaded
    write("handlers/events.rb", <<~RUBY)
      class FilesTask < TaskerCore::TaskHandler::Base
        def handle(_task, _sequence, step) = { step: step.step_name }
      end
    RUBY
    loader = Tasker::HandlerLoader.new
    loader.load_dir(File.join(@dir, "handlers"))

    assert_equal({ "step" => "step_under_test" }, run_step(loader.resolve("FilesTask")))
  end

  def test_a_subscriber_that_nobody_registers
    file = write("handlers/domain.rb", <<~RUBY)
      class FilesHeard < TaskerCore::DomainEvents::BaseSubscriber; end
      TaskerCore::DomainEvents::SubscriberRegistry.instance.register(FilesHeard)
      class FilesLost < TaskerCore::DomainEvents::BaseSubscriber; end
    RUBY
    Tasker::HandlerLoader.new.load_dir(File.join(@dir, "handlers"))
    text = logged(level: :warn) { 2.times { Tasker::Events::Unheard.warn } }

    assert_match(/#{file}:3: FilesLost hears nothing, because it is not registered/, text)
    assert_equal 1, text.lines.size
  end
end
