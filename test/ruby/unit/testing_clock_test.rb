# frozen_string_literal: true

require_relative "testing_helper"
require "time"

class TestingClockTest < Minitest::Test
  include TestingHelper

  DAY = 24 * 3600

  # Less than half of what the clock is moved by, and more than a busy machine needs.
  NEAR = 25

  def test_all_clocks_of_ruby_are_moved
    before = Time.now
    travel(3 * DAY)

    later = (before + (3 * DAY)).to_i
    assert_in_delta later, Time.now.to_f, NEAR
    assert_in_delta later, Time.new.to_f, NEAR
    assert_in_delta later, DateTime.now.to_time.to_f, NEAR
    assert_in_delta later, Process.clock_gettime(Process::CLOCK_REALTIME), NEAR
    assert_in_delta later * 1000, Process.clock_gettime(Process::CLOCK_REALTIME, :millisecond), NEAR * 1000
    assert_in_delta later * 1_000_000_000.0, Process.clock_gettime(Process::CLOCK_REALTIME, :nanosecond), NEAR * 1_000_000_000
    assert_in_delta later * 1000, Process.clock_gettime(Process::CLOCK_REALTIME, :float_millisecond), NEAR * 1000
    assert_equal Time.now.to_date, Date.today
    assert_equal "+05:00", Time.now(in: "+05:00").strftime("%:z")
    assert_equal 1999, Time.new(1999, 1, 1).year
    assert_operator Process.clock_gettime(Process::CLOCK_MONOTONIC), :<, before.to_i
  end

  def test_the_engine_is_asked_before_the_clock_moves
    target = Time.utc(2031, 5, 6, 7, 8, 9)
    travel_to(target)
    assert_equal target.to_i * 1_000_000, @engine.asked("travel").last["to"]
    assert_equal [2031, 5, 6], [Date.today.year, Time.now.utc.month, Time.now.utc.day]

    @engine.define_singleton_method(:travel) { |_| raise "no way back" }
    error = assert_raises(Tasker::Testing::Error) { travel_to(Time.utc(2030)) }
    assert_match(/no way back/, error.message)
    assert_equal 2031, Time.now.utc.year
  end

  def test_a_block_goes_back_unless_a_task_has_run
    now = Time.now
    assert_equal :value, travel(DAY) { (Time.now - now - DAY).abs < NEAR ? :value : Time.now }
    assert_in_delta now.to_f, Time.now.to_f, NEAR
    assert_in_delta now.to_f * 1_000_000, @engine.asked("travel").last["to"], NEAR * 1_000_000

    @engine.step("a", handler { def process(*) = 1 })
    travel(DAY) { run_task("x") }
    assert_in_delta now.to_f + DAY, Time.now.to_f, NEAR
  end

  def test_durations
    now = Time.now
    duration = Class.new { def in_seconds = 60 }.new
    travel(duration)
    assert_in_delta now.to_f + 60, Time.now.to_f, NEAR
    [Object.new, nil, "3 days"].each { |other| assert_raises(ArgumentError) { travel(other) } }
    travel_to(Date.new(2035, 1, 2))
    assert_equal Date.new(2035, 1, 2), Date.today
  end

  def test_each_request_says_what_time_it_is
    travel(DAY)
    @engine.step("a", handler { def process(*) = { at: Time.now.to_i } })
    task = run_task("x")
    assert_in_delta Time.now.to_i, task.step("a").results[:at], NEAR
    assert_in_delta Time.now.to_f * 1_000_000, @engine.asked("run_task").first["now"], NEAR * 1_000_000
  end

  def test_it_may_stand_still
    travel(DAY)
    clock = Tasker::Testing::Clock
    clock.stand do
      times = Array.new(1000) { [Time.now, Time.new, DateTime.now, Date.today, Process.clock_gettime(Process::CLOCK_REALTIME, :nanosecond), clock.now] }
      assert_equal 1, times.uniq.size
      clock.follow(clock.now + 1_000_000)
      assert_in_delta times.first.first + 1, Time.now, 0.0001
      @engine.step("a", handler { def process(*) = sleep(0.01) && 1 })
      run_task("x")
      assert_in_delta times.first.first + 1.01, Time.now, 0.0001
    end
    first = Time.now
    Thread.pass until Time.now > first
    assert_in_delta DAY, Tasker::Testing::Clock.offset / 1_000_000, 60
  end

  # What other libraries do to the clocks is below ours, in each order of loading.
  COMPOSE = <<~'RUBY'
    require "%<fake>s"
    %<first>s
    require "tasker/testing/api"
    ENGINE = FakeEngine.new.step("a", Class.new(Tasker::StepHandler::Base) { def process(_t, _s, step) = (raise "busy" if step.attempts < 2; Time.now.to_i) })
    Tasker::Testing::Service.transport = ENGINE
    extend Tasker::Testing::API
    Tasker::Testing::Example.begin("x", "x.rb:1")
    %<then>s
    def near(time, other) = (time.to_f - other.to_f).abs < 25 || abort("#{time.inspect} is not #{other.inspect}, " + caller.first)
  RUBY

  def compose(first, later, script)
    out, passed = ruby(format(COMPOSE, fake: "#{__dir__}/fake_engine", first: first, then: later) + script)
    assert passed, out
    assert_empty out
  end

  TIMECOP = <<~RUBY
    real = Time.now
    Timecop.freeze(Time.utc(2020, 3, 4, 5)) do
      near Time.now, Time.utc(2020, 3, 4, 5)
      near Date.today.to_time, Time.utc(2020, 3, 4).to_date.to_time
      at = run_task("x").step("a").results
      near at, Time.utc(2020, 3, 4, 5, 1) # the engine has waited for a minute
      near ENGINE.asked("travel").first["to"] / 1_000_000, Time.utc(2020, 3, 4, 5) # it went back before the first task
      near Time.now, Time.utc(2020, 3, 4, 5, 1)
      near Time.new, Time.utc(2020, 3, 4, 5, 1)
      near DateTime.now.to_time, Time.utc(2020, 3, 4, 5, 1)
    end
    near Time.now, real
    travel(86_400)
    near Time.now, real + 86_400
    near Time.new, real + 86_400
    near Date.today.to_time, (real + 86_400).to_date.to_time
    Timecop.freeze do # at what is seen
      near Time.now, real + 86_400
      near run_task("x").step("a").results, real + 86_400 + 60
      near Time.now, real + 86_400 + 60
      Timecop.freeze(Time.utc(2050)) { near Time.now, Time.utc(2050) }
    end
    near Time.now, real + 86_400
    Timecop.travel(Time.utc(2051))
    near Time.now, Time.utc(2051)
    near run_task("x").step("a").results, Time.utc(2051) + 60
    near Time.now, Time.utc(2051) + 60
    Timecop.return
    near Time.now, real + 86_400
  RUBY

  def test_with_timecop
    compose('require "timecop"', "", TIMECOP)
    compose("", '$VERBOSE = nil; require "timecop"; $VERBOSE = true', TIMECOP)
  end

  ACTIVE_SUPPORT = <<~RUBY
    time = Class.new { include ActiveSupport::Testing::TimeHelpers; public :travel_to, :travel_back, :travel }.new
    real = Time.now
    time.travel_to(Time.utc(2020, 3, 4, 5))
    near Time.now, Time.utc(2020, 3, 4, 5)
    near run_task("x").step("a").results, Time.utc(2020, 3, 4, 5, 1)
    near Time.now, Time.utc(2020, 3, 4, 5, 1)
    near Date.today.to_time, Time.utc(2020, 3, 4).to_date.to_time
    near DateTime.now.to_time, Time.utc(2020, 3, 4, 5, 1)
    time.travel_back
    near Time.now, real
    near Date.today.to_time, real.to_date.to_time
    travel(ActiveSupport::Duration.days(2))
    near Time.now, real + 2 * 24 * 3600
    time.travel_to(Time.utc(2040)) { near Time.now, Time.utc(2040) }
    time.travel(ActiveSupport::Duration.days(1)) { near Time.now, real + 3 * 24 * 3600 }
    near Time.now, real + 2 * 24 * 3600
  RUBY

  def test_with_active_support
    # It redefines methods, with warnings.
    load = '$VERBOSE = nil; require "logger"; require "uri"; require "active_support"; require "active_support/testing/time_helpers"; require "active_support/core_ext"' \
           "; ActiveSupport.to_time_preserves_timezone = true if ActiveSupport.respond_to?(:to_time_preserves_timezone=)"
    compose(load, "", ACTIVE_SUPPORT)
    compose("", load, ACTIVE_SUPPORT)
  end

  def test_with_a_double_of_rspecs
    compose("", <<~LOAD, <<~RUBY)
      $VERBOSE = nil
      require "rspec/mocks/standalone"
      $VERBOSE = true
    LOAD
      real = Time.now
      2.times do
        allow(Time).to receive(:now).and_return(Time.utc(2020, 3, 4, 5))
        near run_task("x").step("a").results, Time.utc(2020, 3, 4, 5, 1)
        near Time.now, Time.utc(2020, 3, 4, 5, 1)
        RSpec::Mocks.space.proxy_for(Time).reset
        near Time.now, real
        near Time.new, real
        near run_task("x").step("a").results, (real += 60)
      end
      allow(Time).to receive(:now).and_call_original
      near Time.now, real
    RUBY
  end
end
