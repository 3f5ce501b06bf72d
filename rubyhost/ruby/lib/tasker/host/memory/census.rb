# frozen_string_literal: true

module Tasker
  module Host
    module Memory
      # Gives a number to a group of objects: those of one class that were allocated on
      # one line. It refers to no class, because one that a task makes may go.
      class Keys
        def initialize
          @files = {}
          @classes = {}
          @keys = {}
          @groups = []
        end

        # @return [Integer, nil] nil for objects of our own
        def of(object)
          file, line = Plain.place(object)
          number = file_number(file)
          return if number.nil?

          klass = class_number(Plain.class_of(object))
          @keys[(((number << 20) | line.to_i) << 24) | klass] ||= add(file, line, klass)
        end

        # @return [Array(String, Integer)] file and line of a group
        def place(key) = @groups[key][0, 2]

        private

        def file_number(file)
          @files.fetch(file) do
            @files[file] = file && Plain.own_file?(file) ? nil : @files.size
          end
        end

        def class_number(klass)
          id = Plain.id(klass)
          @classes[id] ||= @classes.size
        end

        def add(file, line, klass)
          @groups << [file, line, klass]
          @groups.size - 1
        end
      end

      # What lives at one point. All of it is numbers: it keeps nothing alive.
      class Census
        # @return [Integer] objects allocated later are of this generation or a later one
        attr_reader :generation
        # @return [Hash{Integer => Integer}] objects by group
        attr_reader :counts
        # @return [Hash{Integer => Integer}] the measure of each container, by object id
        attr_reader :sizes

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
            key = keys.of(object) if traced
            next if traced && key.nil?

            @counts[key] += 1 if key
            measure = Containers.measure(object)
            @sizes[Plain.id(object)] = measure if measure
          end
          # What we have allocated is of an earlier generation then.
          Census.collect
          @generation = ::GC.count
        end
      end
    end
  end
end
