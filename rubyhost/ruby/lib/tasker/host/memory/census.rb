# frozen_string_literal: true

module Tasker
  module Host
    module Memory
      # Gives a number to a group of objects: those of one class that were allocated on
      # one line. It refers to no class, because one that a task makes may go.
      class Keys
        def initialize
          @files = {}
          @names = []
          @classes = {}
          @keys = {}
          @groups = []
        end

        # @return [Integer, nil] nil for objects of our own
        def of(object)
          place = place_of(object)
          return if place.nil?

          klass = class_number(Plain.class_of(object))
          @keys[(place << 24) | klass] ||= add(place, klass)
        end

        # Of the place alone, because to ask an object for its class takes longest.
        #
        # @return [Integer, nil] nil for objects of our own
        def place_of(object)
          file, line = ::Proc === object ? Plain.place(object) : ::ObjectSpace.allocation_sourcefile(object)
          number = @files.fetch(file) { add_file(file) }
          return if number.nil?

          (number << 20) | (line || ::ObjectSpace.allocation_sourceline(object)).to_i
        end

        # @return [Integer] the place of a group
        def place_number(key) = @groups[key].first

        # @return [Array(String, Integer)] file and line of a group
        def place(key)
          number = place_number(key)
          [@names[number >> 20], number & 0xfffff]
        end

        private

        def add_file(file)
          @names << file
          @files[file] = file && Plain.own_file?(file) ? nil : @names.size - 1
        end

        def class_number(klass)
          id = Plain.id(klass)
          @classes[id] ||= @classes.size
        end

        def add(place, klass)
          @groups << [place, klass]
          @groups.size - 1
        end
      end

      # What lives at one point. All of it is numbers: it keeps nothing alive.
      class Census
        # @return [Integer] objects allocated later are of this generation or a later one
        attr_reader :generation
        # @return [Hash{Integer => Integer}] objects by place
        attr_reader :counts
        # @return [Hash{Integer => Integer}] the measure of each container, by object id
        attr_reader :sizes
        # @return [Hash{Integer => Hash{Symbol => Integer}}] elements of modules' variables
        attr_reader :slots

        class << self
          # @param keys [Keys]
          # @return [Census]
          def take(keys)
            collect
            new.tap { |census| census.count(keys) }
          end

          # Twice, because a finalizer may let go of more.
          def collect
            2.times { ::GC.start }
          end
        end

        def initialize
          @counts = Hash.new(0)
          @sizes = {}
        end

        # @param keys [Keys]
        # @return [void]
        def count(keys)
          ::ObjectSpace.each_object do |object|
            traced = ::ObjectSpace.allocation_generation(object)
            place = keys.place_of(object) if traced
            next if traced && place.nil?

            @counts[place] += 1 if place
            measure = Containers.measure(object)
            @sizes[Plain.id(object)] = measure if measure
          end
          @slots = Slots.sizes
          # What we have allocated is of an earlier generation then.
          Census.collect
          @generation = ::GC.count
        end
      end
    end
  end
end
