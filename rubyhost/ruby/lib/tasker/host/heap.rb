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
          memory = objects ? ObjectSpace.memsize_of_all : 0
          summary(stat, types, RubyVersions.slots_by_size(stat, pools), memory)
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

        def read(stat, types, pools)
          GC.stat(stat)
          ObjectSpace.count_objects(types)
          RubyVersions.stat_pools(pools)
          [stat, types, pools]
        end

        def summary(stat, types, sizes, memory)
          live = stat[:heap_live_slots]
          bytes = slot_bytes(sizes, live)
          {
            LiveSlots: live, SlotBytes: bytes, OldObjects: stat[:old_objects], MallocIncrease: stat[:malloc_increase_bytes],
            SlotsByType: types.select { |type, count| type.start_with?("T_") && count.positive? }, SlotsByPool: sizes,
            ObjectMemory: [memory - (bytes - without_size(types, sizes)), 0].max
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
