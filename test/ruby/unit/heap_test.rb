# frozen_string_literal: true

require_relative "helper"
require "tasker/ruby_versions"
alone = !Tasker.const_defined?(:Host, false)
require "tasker/host/heap"
HEAP_UNDER_TEST = Tasker::Host::Heap
Tasker.send(:remove_const, :Host) if alone # for the other tests there is no host

# What Tasker::Host::Heap makes of what each CRuby says.
class HeapTest < Minitest::Test
  VERSIONS = Tasker::RubyVersions

  def test_one_size_of_slots
    assert_equal({ VERSIONS::BASE_SLOT => 70 }, VERSIONS.slots_by_size({ heap_live_slots: 70 }, {}))
  end

  def test_pools_that_count_their_live_slots
    pools = {
      0 => { slot_size: 40, heap_eden_slots: 90, total_allocated_objects: 900, total_freed_objects: 850 },
      1 => { slot_size: 80, heap_eden_slots: 90, total_allocated_objects: 30, total_freed_objects: 10 }
    }

    assert_equal({ 40 => 50, 80 => 20 }, VERSIONS.slots_by_size({ heap_live_slots: 70 }, pools))
    assert_equal 3600, bytes({ 40 => 50, 80 => 20 }, 70)
  end

  def test_pools_that_count_all_slots
    pools = { 0 => { slot_size: 40, heap_eden_slots: 100 }, 1 => { slot_size: 80, heap_eden_slots: 50 } }
    sizes = VERSIONS.slots_by_size({ heap_live_slots: 75 }, pools)

    assert_equal({ 40 => 100, 80 => 50 }, sizes)
    assert_equal 4000, bytes(sizes, 75), "half of them live"
  end

  def test_this_ruby
    keep = Array.new(1000) { Object.new }
    measured = HEAP_UNDER_TEST.measure(collect: true, objects: true)

    assert_operator measured[:SlotsByType][:T_OBJECT], :>=, keep.size
    assert_operator measured[:SlotBytes], :>=, measured[:LiveSlots] * VERSIONS::BASE_SLOT
    assert_operator measured[:ObjectMemory], :>, 0
    assert_operator measured[:SlotsByPool].values.sum, :>=, measured[:LiveSlots]
    assert_equal 0, HEAP_UNDER_TEST.measure(collect: false, objects: false)[:ObjectMemory]
  end

  private

  def bytes(sizes, live)
    HEAP_UNDER_TEST.send(:slot_bytes, sizes, live)
  end
end
