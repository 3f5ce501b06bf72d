# frozen_string_literal: true

require_relative "memory_scenario"

# How it is called, and what it answers.
class MemoryTest < Minitest::Test
  parallelize_me!
  include MemoryScenario

  LOADED = <<~RUBY
    require "tasker"
    require "tasker/host/memory"
    Memory = Tasker.const_get(:Host)::Memory
    def refused
      yield
    rescue ArgumentError, LoadError => e
      puts e.message
    end
  RUBY

  def test_the_order_of_calls
    out, ok = ruby(<<~RUBY)
      #{LOADED}
      refused { Memory.mark }
      p Memory.start
      refused { Memory.suspects(10, [], 5) }
      p Memory.mark, Memory.mark
      refused { Memory.mark }
      refused { Memory.stores }
      refused { Memory.suspects(10, [], 0) }
      p Memory.suspects(10, ["/no/such/folder"], 5), Memory.stores
    RUBY

    assert ok, out
    assert_equal <<~TEXT, out
      Memory.mark needs Memory.start before it
      {}
      Memory.suspects needs two calls of Memory.mark before it
      {}
      {}
      Memory.mark was called 2 times; then Memory.suspects follows
      Memory.stores needs Memory.suspects before it
      tasks is 0; it has to be at least 1
      []
      {}
    TEXT
  end

  def test_a_ruby_without_objspace
    out, ok = ruby(<<~RUBY)
      #{LOADED}
      module Kernel
        alias required require
        def require(feature)
          return required(feature) unless feature == "objspace"

          raise LoadError.new("cannot load such file -- objspace").tap { |e| e.instance_variable_set(:@path, feature) }
        end
      end
      refused { Memory.start }
    RUBY

    assert ok, out
    assert_match(/\Athis Ruby \(ruby .*\) has no objspace extension, .*; install Ruby's standard library in full\n\z/, out.lines.last)
  end

  # Spies change no answer.
  def test_what_is_spied_on_works_as_before
    found(<<~'RUBY') do |found|
      require "set"
      module Tasks
        LIST, TEXTS, TEXT, SET, QUEUE = [], {}, +"", Set.new, Thread::Queue.new
        def self.run(number)
          is(LIST, LIST << number)
          is(LIST, LIST.push(number, number).unshift(number).concat([number], [number]))
          is(LIST, LIST.insert(1, { a: number }))
          is(number, LIST[LIST.size] = number)
          is(number, TEXTS[number.to_s] = number)
          is(number, TEXTS.store({ a: number }, number))
          is(TEXTS, TEXTS.update({ number => 1 }) { |*| raise })
          is([number, 2, 3], TEXTS.merge!({ number => 2 }) { |*all| all << 3; [all[0], all[2], all[3]] }[number])
          is(TEXT, TEXT << "more " << 120)
          is(SET, SET.add(number))
          is(nil, SET.add?(number))
          is([LIST, TEXTS, SET], Marshal.load(Marshal.dump([LIST, TEXTS, SET])))
          is(LIST.size + 1, LIST.clone.push(1).size)
          is(QUEUE, QUEUE.push(number.to_s))
          is(true, (LIST.push(1, 2, 3, 4, 5, 6, 7, 8, 9, nope: 1).last == { nope: 1 }))
        end
        def self.is(expected, value) = (raise "not #{expected}: #{value}" unless expected == value)
      end
    RUBY
      assert_operator found.suspects.size, :>=, 5
      assert_operator found.stores.size, :>=, 5
    end
  end

  def test_no_more_than_were_asked_for_and_counts_for_each_thousand_tasks
    found(<<~'RUBY', tasks: 400) do |found|
      module Tasks
        LIST = []
        def self.run(number)
          LIST << "x" * 100_000 if number % 20 == 0
        end
      end
    RUBY
      assert_equal [50], found.suspects.map { |suspect| suspect["count"] }
      assert_in_delta 5000, found.first["bytes"], 50
    end
  end

  # As with a heap of millions of objects, or on a slow machine.
  def test_a_search_that_would_take_too_long
    { MOST_OBJECTS: /\Anot searched for: \d+ objects live\z/, SECONDS: /\Anot found in -1 seconds\z/ }.each do |limit, said|
      out, ok = ruby(<<~RUBY)
        #{LOADED}
        Memory.start
        Memory::Search.send(:remove_const, #{limit.inspect})
        Memory::Search.const_set(#{limit.inspect}, -1)
        list = []
        DEEP = 20_000.times.inject(list) { |inner, _| [inner] } # the search looks at its watch now and then
        more = -> { 100.times { list << Object.new } }
        more.call
        2.times { Memory.mark; more.call }
        found = Memory.suspects(10, ["/no/such/folder"], 100).find { |suspect| suspect[:class] == "Object" }
        puts found[:allocated][:line], found[:count], found[:path].first[:name]
      RUBY

      assert ok, out
      assert_equal [LOADED.lines.size + 7, 1000], out.lines.first(2).map(&:to_i)
      assert_match said, out.lines.last.chomp
    end
  end

  def test_another_folder_is_not_the_handlers_own
    out, ok = ruby(<<~RUBY)
      #{LOADED}
      Memory.start
      LIST = []
      more = -> { 100.times { LIST << Object.new } }
      more.call
      2.times { Memory.mark; more.call }
      p(Memory.suspects(10, ["/no/such/folder"], 100).map { |suspect| suspect.values_at(:class, :own) })
    RUBY

    assert ok, out
    assert_equal %([["Object", false]]\n), out
  end
end
