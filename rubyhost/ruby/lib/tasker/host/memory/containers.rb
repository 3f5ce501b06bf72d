# frozen_string_literal: true

module Tasker
  module Host
    module Memory
      # Objects that get larger: their elements may be Integers or Symbols, which leave
      # no object behind.
      module Containers
        # A container of so few bytes is empty, or has a handful of elements.
        SMALL = 80
        # Another object of so few bytes has few instance variables, and a short text.
        HEAVY = 200
        # What an instance variable counts, whose table grows by doubling.
        VARIABLE = 64
        # Bytes by which a String or a native object has to grow.
        BYTES = 256
        COMPACT = ::Array.instance_method(:compact)

        # One that has grown in both runs.
        Grown = Struct.new(:object, :count, :bytes, keyword_init: true)

        class << self
          # To ask what it uses is fast, and most objects are small. A native object's
          # measure is what it says of its memory; a thread's says little: its stack. The
          # VM's has the table of object ids, which marks fill.
          #
          # @return [Integer, nil] elements or bytes; nil for what has none, or cannot grow
          def measure(object)
            bytes = ::ObjectSpace.memsize_of(object)
            return (Plain.size(object) if Plain.set?(object)) if bytes <= SMALL # what a Set uses is in its Hash

            case object
            when ::Thread, ::Fiber, ::RubyVM, ::ObjectSpace::WeakMap, ::Symbol then nil
            when ::Array then filled(object) unless Plain::FROZEN.bind_call(object)
            when ::Hash, ::Thread::Queue then Plain.size(object) unless Plain::FROZEN.bind_call(object)
            when ::String then Plain::BYTES.bind_call(object) unless bytes <= HEAVY || Plain::FROZEN.bind_call(object)
            else Plain.size(object) || weight(object, bytes)
            end
          end

          # @param before [Hash{Integer => Integer}] measures at the first mark
          # @param between [Hash{Integer => Integer}] measures at the second mark
          # @return [Grown, nil]
          def in_place(object, before, between, tasks)
            last = measure(object) or return
            id = Plain.id(object)
            first = before[id] or return
            second = between[id] or return
            runs = [second - first, last - second]
            elements = Plain.size(object)
            return unless Survivors.steady?(runs, elements ? Survivors.least(tasks) : [BYTES, tasks].max)

            grown(object, runs, last, elements)
          end

          # @param census [Array(Census, Census)]
          # @return [Array<Grown>] of variables that get a new and larger collection
          def replaced(census, tasks)
            found = []
            Slots.each do |id, name, object, last|
              first, second = census.map { |one| one.slots.dig(id, name) }
              next if first.nil? || second.nil? || census.first.sizes.key?(Plain.id(object))

              runs = [second - first, last - second]
              found << grown(object, runs, last, true) if Survivors.steady?(runs, Survivors.least(tasks))
            end
            found
          end

          # Whether the container has room for so many new objects only because it let others
          # go.
          #
          # @param census [Census] at the first mark
          # @param count [Integer] objects of both runs in it
          def bounded?(object, census, count)
            before = census.sizes[Plain.id(object)]
            now = measure(object)
            !before.nil? && !now.nil? && (now - before) * 2 < count
          end

          private

          # A list may have its size from the beginning, and be filled later.
          def filled(array) = COMPACT.bind_call(array).size

          def grown(object, runs, last, elements)
            grown = runs.sum
            Grown.new(object: object, count: elements ? grown : 0, bytes: elements ? share(object, grown, Plain.size(object)) : grown)
          end

          # Of what it uses now: a table grows by doubling.
          def share(object, grown, size)
            inner = Plain.set_hash(object) if Plain.set?(object)
            ::ObjectSpace.memsize_of(inner || object) * grown / [size, 1].max
          end

          def weight(object, bytes)
            return if bytes <= HEAVY || Plain::FROZEN.bind_call(object) || inside_ruby?(object)

            bytes + (VARIABLE * Plain::IVARS.bind_call(object).size)
          end

          # The tracer of allocations, whose table is as large as the heap, is an Object.
          def inside_ruby?(object)
            ::Object.equal?(Plain.class_of(object)) && Plain::IVARS.bind_call(object).empty?
          end
        end
      end
    end
  end
end
