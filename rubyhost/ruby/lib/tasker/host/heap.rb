# frozen_string_literal: true

module Tasker
  module Host
    # What is in CRuby's heap, for Go (memory.go).
    #
    # @api private
    module Heap
      # An object that lives on for another reason, such as a finalizer, is gone after
      # one more collection.
      COLLECTIONS = 3
      # The types whose memory ObjectSpace.memsize_of_all leaves out, with their slots.
      WITHOUT_SIZE = %i[T_IMEMO T_ICLASS T_NODE T_ZOMBIE].freeze
      private_constant :COLLECTIONS, :WITHOUT_SIZE

      class << self
        # Between the collection and the counting it allocates nothing, and it keeps
        # nothing: measured again, the same heap gives the same numbers.
        #
        # @param collect [Boolean] whether to collect first, and all of it
        # @param objects [Boolean] whether to walk the heap for ObjectMemory
        # @return [Hash]
        def measure(collect:, objects:)
          RubyVersions.library("objspace") if objects
          stat, types, pools = read({}, {}, {}) # now the Hashes have their keys
          self.collect if collect
          read(stat, types, pools)
          sizes = RubyVersions.slots_by_size(stat, pools)
          summary(stat, types, sizes).merge(ObjectMemory: objects ? memory_of_objects(types, sizes) : 0)
        end

        private

        def collect
          live = GC.stat(:heap_live_slots)
          COLLECTIONS.times do
            GC.start
            before = live
            live = GC.stat(:heap_live_slots)
            break if live >= before
          end
        end

        # A thread counts a stack of 1 MB, which is not from malloc, until it has first
        # used a Mutex. So threads are left out.
        def memory_of_objects(types, sizes)
          memory = ObjectSpace.memsize_of_all - ObjectSpace.memsize_of_all(Thread)
          slots = slot_bytes(sizes, types[:TOTAL] - types[:FREE])
          [memory - (slots - without_size(types, sizes)), 0].max
        end

        def read(stat, types, pools)
          GC.stat(stat)
          ObjectSpace.count_objects(types)
          RubyVersions.stat_pools(pools)
          [stat, types, pools]
        end

        def summary(stat, types, sizes)
          live = stat[:heap_live_slots]
          {
            LiveSlots: live, SlotBytes: slot_bytes(sizes, live), SlotsByPool: sizes,
            SlotsByType: types.select { |type, count| type.start_with?("T_") && count.positive? },
            OldObjects: stat[:old_objects], MallocIncrease: stat[:malloc_increase_bytes]
          }
        end

        # Where CRuby counts all slots of a pool, the live ones are taken to be of the
        # same mix.
        def slot_bytes(sizes, live)
          all = sizes.sum { |_, count| count }
          bytes = sizes.sum { |size, count| size * count }
          all == live || all.zero? ? bytes : bytes * live / all
        end

        # Their slots have the smallest size, but for a few.
        def without_size(types, sizes)
          sizes.keys.min * WITHOUT_SIZE.sum { |type| types.fetch(type, 0) }
        end
      end
    end
  end
end
