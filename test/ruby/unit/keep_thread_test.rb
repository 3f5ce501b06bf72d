# frozen_string_literal: true

require_relative "helper"

# Outside the host nothing ends threads, and keep_thread only calls its block.
class KeepThreadTest < Minitest::Test
  def test_it_returns_what_the_block_returns
    assert_equal 42, Tasker.keep_thread { Thread.new { 42 }.value }
  end

  def test_it_ends_with_the_block
    inside = Tasker.keep_thread { Tasker.keep_thread { 1 } && Thread.current[:tasker_keep_thread] }

    assert inside
    assert_nil Thread.current[:tasker_keep_thread]
    assert_raises(RuntimeError) { Tasker.keep_thread { raise "x" } }
    assert_nil Thread.current[:tasker_keep_thread]
  end
end
