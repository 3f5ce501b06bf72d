# frozen_string_literal: true

require_relative "memory_scenario"

# What tasks need once, or replace, is no leak.
class MemoryQuietTest < Minitest::Test
  parallelize_me!
  include MemoryScenario

  def assert_quiet(source, **options)
    found(source, **options) { |found| assert_empty found.suspects }
  end

  def test_nothing_is_kept
    assert_quiet(<<~'RUBY')
      module Tasks
        def self.run(number) = Array.new(50) { |n| "#{number} #{n}" }.map(&:to_sym).to_h { |symbol| [symbol, number] }
      end
    RUBY
  end

  def test_a_bounded_cache
    assert_quiet(<<~'RUBY')
      module Tasks
        CACHE = {}
        def self.run(number)
          CACHE[number] = ["order", number.to_s]
          CACHE.shift if CACHE.size > 40
        end
      end
    RUBY
  end

  # It holds objects of both runs, and is bounded nevertheless.
  def test_a_bounded_cache_that_is_larger_than_a_run
    assert_quiet(<<~'RUBY')
      module Tasks
        CACHE = 400.times.to_h { |n| [-n, [n.to_s]] }
        def self.run(number)
          CACHE[number] = [number.to_s]
          CACHE.shift if CACHE.size > 400
        end
      end
    RUBY
  end

  def test_a_ring
    assert_quiet(<<~'RUBY')
      module Tasks
        RING = Array.new(1000) { |number| number.to_s }
        def self.run(number) = RING[number % 1000] = number.to_s
      end
    RUBY
  end

  def test_first_uses
    assert_quiet(<<~'RUBY')
      module Tasks
        CACHE = Hash.new { |cache, key| cache[key] = "looked up #{key}" }
        def self.run(number)
          CACHE[number % 120] # half of them are new in the first run
          @config ||= { "a" => "b" * 5000 }
          @late ||= Array.new(200) { |n| "late #{n}" } if number > 200
        end
      end
    RUBY
  end

  def test_the_last_value_only
    assert_quiet(<<~'RUBY')
      module Tasks
        def self.run(number)
          @last = Array.new(100) { |n| "#{number} #{n}" }
          Thread.current[:last] = number.to_s
          $last = { number => number.to_s }
        end
      end
    RUBY
  end

  def test_a_list_that_is_cleared_now_and_then
    assert_quiet(<<~'RUBY')
      module Tasks
        BATCH = []
        def self.run(number)
          BATCH << "order #{number}"
          BATCH.clear if number % 30 == 0
        end
      end
    RUBY
  end

  def test_what_is_held_weakly
    assert_quiet(<<~'RUBY')
      require "weakref"
      module Tasks
        WEAK = ObjectSpace::WeakMap.new
        def self.run(number)
          key = Object.new
          WEAK[key] = number.to_s
          @last = WeakRef.new(key)
        end
      end
    RUBY
  end

  def test_methods_and_constants_that_are_there
    assert_quiet(<<~'RUBY')
      require "json"
      module Tasks
        Order = Struct.new(:id, :text)
        def self.run(number)
          order = Order.new(number, JSON.generate([number, { "a" => number.to_s }]))
          JSON.parse(order.text)
          raise ArgumentError, order.text if number % 3 == 0
        rescue ArgumentError => e
          e.backtrace.size
        end
      end
    RUBY
  end
end
