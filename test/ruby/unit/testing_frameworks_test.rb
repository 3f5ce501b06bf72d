# frozen_string_literal: true

require_relative "helper"

# Runs suites of RSpec and of minitest in a Ruby of their own, on the fake engine.
class TestingFrameworksTest < Minitest::Test
  parallelize_me!

  HANDLERS = <<~RUBY
    class Charge < Tasker::StepHandler::Base
      def process(task, _sequence, _step) = { cents: Gateway.charge(task.context[:cents]) }
    end
    class Swallows < Tasker::StepHandler::Base
      def process(*)
        Gateway.charge(1)
      rescue Exception
        "hidden"
      end
    end
    module Gateway
      def self.charge(cents) = cents
    end
  RUBY

  # Runs a program, after the engine and the handlers are there.
  def program(text, files = {}, options = [])
    Dir.mktmpdir do |dir|
      files.each { |name, content| File.write(File.join(dir, name), content) }
      File.write(File.join(dir, "handlers.rb"), HANDLERS)
      script = <<~RUBY
        $LOAD_PATH << Dir.pwd
        require "#{__dir__}/fake_engine"
        require "tasker/testing/service"
        load "handlers.rb"
        ENGINE = FakeEngine.new.step("charge", Charge)
        Tasker::Testing::Service.transport = ENGINE
        #{text}
      RUBY
      return ruby(script, *options, chdir: dir)
    end
  end

  def rspec(spec, *options)
    program(<<~RUBY, { "order_spec.rb" => spec })
      $VERBOSE = false # Debian's RSpec 3.12 warns of itself
      require "rspec/core"
      exit RSpec::Core::Runner.run(["order_spec.rb", "--order", "defined", *#{options.inspect}])
    RUBY
  end

  def minitest(test)
    program(<<~RUBY, { "order_test.rb" => test })
      ENV["MT_NO_PLUGINS"] = "1"
      require "minitest"
      load "order_test.rb"
      exit Minitest.run(["--seed", "1"])
    RUBY
  end

  def test_rspec
    out, passed = rspec(<<~RUBY)
      require "tasker/testing"
      RSpec.describe "an order" do
        it "is charged" do
          expect(run_task("order", context: { cents: 5 }).step("charge").results).to eq("cents" => 5)
        end
        it "uses a double on the handler's thread" do
          expect(Gateway).to receive(:charge).with(7).and_return(8)
          expect(run_task("order", context: { cents: 7 }).step("charge").results[:cents]).to eq(8)
        end
      end
    RUBY
    assert passed, out
    assert_includes out, "2 examples, 0 failures"
  end

  def test_minitest
    out, passed = minitest(<<~RUBY)
      require "tasker/testing"
      require "minitest/test"
      class Step; end # its own, and not Tasker::Testing::Step
      class OrderTest < Minitest::Test
        def test_it_is_charged
          assert_equal 5, run_task("order", context: { cents: 5 }).step("charge").results[:cents]
          assert_equal "Step", Step.name
        end
      end
    RUBY
    assert passed, out
    assert_includes out, "1 runs, 2 assertions, 0 failures"
  end

  def test_it_may_be_required_before_the_framework
    spec = 'RSpec.describe("an order") { it("runs") { expect(run_task("order").name).to eq("order") } }'
    out, passed = program(<<~RUBY, { "order_spec.rb" => spec })
      require "tasker/testing"
      $VERBOSE = false
      require "rspec/core"
      exit RSpec::Core::Runner.run(["order_spec.rb"])
    RUBY
    assert passed, out
    assert_includes out, "1 example, 0 failures"

    out, passed = program(<<~RUBY)
      require "tasker/testing"
      ENV["MT_NO_PLUGINS"] = "1"
      require "minitest"
      class OrderTest < Minitest::Test
        def test_it = assert_equal("order", run_task("order").name)
      end
      exit Minitest.run([])
    RUBY
    assert passed, out
    assert_includes out, "1 runs, 1 assertions, 0 failures"
  end

  def test_it_may_be_included_by_hand
    out, passed = program(<<~RUBY)
      require "tasker"
      class Mine
        include Tasker::Testing
      end
      puts Mine.method_defined?(:run_task), Mine.const_defined?(:Step, true)
    RUBY
    assert passed, out
    assert_equal "true\nfalse\n", out
  end

  def test_an_expectation_that_fails_in_a_handler_fails_the_example
    out, passed = rspec(<<~RUBY)
      require "tasker/testing"
      RSpec.describe "an order" do
        it "meets an expectation in a stub" do
          run_task("order", stubs: { charge: ->(task, *) { expect(task.context[:cents]).to eq(1) } })
        end
        it "meets a double" do
          expect(Gateway).to receive(:charge).with(1)
          run_task("order", context: { cents: 2 })
        end
        it "meets a double, and the handler swallows its error" do
          ENGINE.instance_variable_get(:@steps).first.handler = Swallows
          expect(Gateway).to receive(:charge).with(2).and_return(3)
          run_task("order")
        end
        it "is one attempt" do
          expect(ENGINE.asked("step_begin").size).to eq(3)
        end
      end
    RUBY
    refute passed, out
    assert_includes out, "4 examples, 3 failures"
    refute_includes out, "Tasker::PermanentError"
    refute_match(/tasker.testing.attempt/, out)
    assert_includes out, "charge failed in attempt 1: an expectation failed, as above"
    assert_match(%r{Failure/Error: run_task.*expect\(task.context.*expected: 1\s+got: nil}m, out)
    assert_match(/received :charge with unexpected arguments\s+expected: \(1\)\s+got: \(2\)/, out)
    assert_match(/received :charge with unexpected arguments\s+expected: \(2\)\s+got: \(1\)/, out)
    assert_includes out, "order_spec.rb:4"
  end

  def test_an_assertion_that_fails_in_a_handler_fails_the_test
    out, passed = minitest(<<~RUBY)
      require "tasker/testing"
      require "minitest/test"
      require "minitest/mock"
      class OrderTest < Minitest::Test
        def test_an_assertion
          run_task("order", stubs: { charge: ->(task, *) { assert_equal 1, task.context[:cents] } })
        end
        def test_a_mock
          mock = Minitest::Mock.new
          run_task("order", stubs: { charge: ->(*) { begin; mock.unknown; rescue StandardError; 1; end } })
        end
      end
    RUBY
    refute passed, out
    assert_match(/2 runs, \d assertions, 1 failures, 1 errors/, out)
    assert_match(/Expected: 1\s+Actual: nil/, out)
    assert_includes out, "unmocked method :unknown"
  end

  def test_a_skip_in_a_handler_skips_the_example
    out, passed = rspec(<<~RUBY, "--format", "documentation")
      require "tasker/testing"
      RSpec.describe "an order" do
        it("waits for a key") { run_task("order", stubs: { charge: ->(*) { skip "no key" } }) }
        it("comes after it") { expect(run_task("order", context: { cents: 1 })).to be_complete }
      end
    RUBY
    assert passed, out
    assert_includes out, "2 examples, 0 failures, 1 pending"
    assert_includes out, "waits for a key (PENDING: no key)"
  end

  def test_a_fault_that_met_no_attempt_fails_the_example
    spec = <<~RUBY
      require "tasker/testing"
      RSpec.describe "an order" do
        it "has a typo" do
          fail_step "chrge", with: "busy"
          run_task("order")
        end
      end
    RUBY
    out, passed = rspec(spec)
    refute passed, out
    assert_includes out, 'fail_step "chrge" with RuntimeError met no attempt: there is no such step; did you mean charge?'
    assert_match(%r{Failure/Error:\s+it "has a typo" do\n}, out)
    refute_match(/tasker.testing|Showing full backtrace/, out) # lines of the library

    out, passed = minitest(<<~RUBY)
      require "tasker/testing"
      require "minitest/test"
      class OrderTest < Minitest::Test
        def test_it
          fail_step "charge", with: "busy", times: 9
          run_task("order")
        end
      end
    RUBY
    refute passed, out
    assert_includes out, 'fail_step "charge" with RuntimeError met 3 of 9 attempts: the step has begun 3 times'
    assert_match(/order_test.rb:4:in/, out)
    refute_match(/tasker.testing/, out)
  end

  def test_without_an_engine
    out, passed = program(<<~RUBY, { "order_spec.rb" => <<~SPEC })
      $VERBOSE = false
      Tasker::Testing::Service.transport = nil
      require "rspec/core"
      exit RSpec::Core::Runner.run(["order_spec.rb"])
    RUBY
      require "tasker/testing"
      RSpec.describe "an order" do
        it("needs it") { run_task("order") }
        it("does not need it") { expect(Tasker::Testing.run(Charge, context: { cents: 3 })).to eq("cents" => 3) }
      end
    SPEC
    refute passed, out
    assert_includes out, "2 examples, 1 failure"
    assert_includes out, "run this file with `tasker-rb test`"
  end

  def test_matchers_of_rspec
    out, passed = rspec(<<~RUBY)
      require "tasker/testing"
      RSpec.describe "an order" do
        let(:task) { run_task("order", context: { cents: 5 }) }
        it "matches" do
          expect(task).to be_complete
          expect(task).to have_step("charge").with_results(hash_including(cents: Integer)).in(1).attempt
          expect(task).to have_step(:charge).with_results("cents" => 5).and have_published("step.completed").with(step_name: /cha/)
          expect(task).not_to have_step("refund")
          expect(task).not_to have_failed_with(KeyError)
          expect(task).to have_committed([1], 1)
          expect(Struct.new(:complete?).new(true)).to be_complete
        end
        it("says what results there are") { expect(task).to have_step("charge").with_results(hash_including(cents: 6)) }
        it("says which step failed") do
          fail_step "charge", with: Tasker::PermanentError.new("declined", error_code: "NO")
          expect(task).not_to have_failed_with(Tasker::PermanentError, code: "NO")
        end
        it("says how it became") { expect(task).not_to be_complete }
      end
    RUBY
    refute passed, out
    assert_includes out, "4 examples, 3 failures"
    assert_match(/expected the step charge to have results hash_including\(:?cents.*6\), but they are .*5/, out)
    assert_includes out, "expected the task order not to have failed with Tasker::PermanentError"
    assert_includes out, "expected the task order not to be complete"
    assert_match(/The task default\/order 0.1.0 is error:\n\s+x  charge  error  1 attempt\n/, out)
    assert_match(/charge failed in attempt 1:\n\s+Tasker::PermanentError \(NO\): declined\n\s+order_spec.rb:15/, out)
  end

  def test_a_failing_test_of_minitest_shows_its_tasks
    out, passed = minitest(<<~RUBY)
      require "tasker/testing"
      require "minitest/test"
      class OrderTest < Minitest::Test
        def test_it
          fail_step "charge", with: Tasker::PermanentError
          assert_complete run_task("order")
        end
        def test_its_own_error
          run_task("order")
          raise KeyError, "mine"
        end
        def test_without_a_task = flunk("plain")
      end
    RUBY
    refute passed, out
    assert_includes out, "3 runs, 2 assertions, 2 failures, 1 errors"
    assert_match(/expected the task order to be complete.*\nThe task default\/order 0.1.0 is error:\n  x  charge/, out)
    assert_match(/KeyError: mine.*The task default\/order 0.1.0 is complete:/m, out)
    assert_match(/plain\n\n|plain\n$/, out)
  end

  def test_no_example_reaches_the_next
    out, passed = rspec(<<~RUBY)
      require "tasker/testing"
      RSpec.describe "an order" do
        before { expect([ENV["LEFT"], defined?(Left), Gateway.name, Tasker::Events.listened_to?]).to eq([nil, nil, "Gateway", false]) }
        2.times do
          it "leaves nothing" do
            ENV["LEFT"] = "1"
            Left = 1
            stub_const("Gateway", Module.new { def self.charge(*) = 1 })
            Tasker::Events.subscribe { nil }
            travel_to(Time.utc(2040))
          end
        end
        it("is in its own time") { expect(Time.now.year).to be < 2040 }
      end
    RUBY
    assert passed, out
    assert_includes out, "3 examples, 0 failures"
  end

  def test_assert_exactly_once_fails_an_example
    crashing = "require '#{__dir__}/crashing_engine'; ENGINE2 = Tasker::Testing::Service.transport = CrashingEngine.new.step('charge', AtOnce)\n"
    handlers = <<~RUBY
      class AtOnce < Tasker::StepHandler::Base
        def process(*) = CrashingEngine.current.insert_at_once("charges", cents: 5) && 1
      end
    RUBY
    body = 'assert_exactly_once("order", context: {}) { CrashingEngine.current.rows("charges") }'
    out, passed = rspec("require 'tasker/testing'\n#{handlers}#{crashing}RSpec.describe('an order') { it('is charged once') { #{body} } }")
    refute passed, out
    assert_match(/dies at this point: charge, before its commit\s+rows has 1 more row/, out)
    assert_includes out, "THE WORKER DIES"

    block = 'expect { CrashingEngine.current.rows("charges") }.to be_exactly_once.for("order")'
    out, passed = rspec("require 'tasker/testing'\n#{handlers}#{crashing}RSpec.describe('an order') { it('is charged once') { #{block} } }")
    refute passed, out
    assert_match(/dies at this point: charge, before its commit\s+rows has 1 more row/, out)

    out, passed = minitest("require 'tasker/testing'\n#{handlers}#{crashing}class T < Minitest::Test\n  def test_it = #{body}\nend")
    refute passed, out
    assert_match(/1 failures, 0 errors/, out)
    assert_match(/dies at this point: charge, before its commit\s+rows has 1 more row/, out)
  end
end
