# frozen_string_literal: true

module Tasker
  module Host
    module Memory
      # Objects of the two runs that still live, in groups that have grown in both.
      class Survivors
        # Fewer objects of a run are no leak: the collector takes what lies on a stack
        # for living.
        FEW = 4
        # In each run at least one object for so many tasks.
        SHARE = 100
        # Fewer objects count if they are so large.
        LARGE = 64 * 1024
        # So do at least so many in each of two long runs, if they are a byte a task: what
        # happens in one of a thousand tasks.
        RARE = 2
        LONG = 1000
        # The growth of one run is at most so many times that of the other.
        UNEQUAL = 4

        class << self
          # @return [Integer] the least growth of a run
          def least(tasks)
            [FEW, tasks / SHARE].max
          end

          # @param runs [Array(Integer, Integer)] the growth in each
          def steady?(runs, least)
            low, high = runs.minmax
            low >= least && high <= low * UNEQUAL
          end
        end

        # One group.
        Group = Struct.new(:key, :runs, :bytes)

        # @return [Hash{Integer => Group}] groups that have grown, by key
        attr_reader :groups
        # @return [Hash{Object => Integer}] their objects of both runs with their keys,
        #   by identity
        attr_reader :objects
        # @return [Array<Containers::Grown>]
        attr_reader :grown
        # @return [Integer] objects that live
        attr_reader :living

        # @param census [Array(Census, Census)] at the marks
        # @param keys [Keys]
        def initialize(census, keys, tasks)
          @census = census
          @keys = keys
          @tasks = tasks
          @objects = {}.compare_by_identity
          @grown = []
          @living = 0
        end

        # @return [Survivors] self
        def find
          Census.collect
          counts = Hash.new(0)
          groups = {}
          walk(counts, groups)
          @grown.concat(Containers.replaced(@census, @tasks))
          @groups = groups.select { |key, group| grows?(group, counts[@keys.place_number(key)]) }
          collect_objects
          self
        end

        private

        # Two walks: most groups do not grow, and need no list of their objects.
        def walk(counts, groups)
          first, second = @census.map(&:generation)
          ::ObjectSpace.each_object do |object|
            @living += 1
            generation = ::ObjectSpace.allocation_generation(object)
            place = @keys.place_of(object) if generation
            next if generation && place.nil?

            counts[place] += 1 if place
            if generation.nil? || generation < first
              found = Containers.in_place(object, @census[0].sizes, @census[1].sizes, @tasks)
              @grown << found if found
            else
              key = @keys.of(object)
              group = groups[key] ||= Group.new(key, [0, 0], 0)
              group.runs[generation < second ? 0 : 1] += 1
              group.bytes += ::ObjectSpace.memsize_of(object)
            end
          end
        end

        def grows?(group, now)
          before, between = @census.map { |census| census.counts.fetch(@keys.place_number(group.key), 0) }
          least = least(group)
          Survivors.steady?(group.runs, least) && Survivors.steady?([between - before, now - between], least)
        end

        def least(group)
          return 1 if group.bytes >= LARGE * 2 * group.runs.max
          return RARE if @tasks >= LONG && group.bytes >= 2 * @tasks

          Survivors.least(@tasks)
        end

        def collect_objects
          return if @groups.empty?

          first = @census[0].generation
          ::ObjectSpace.each_object do |object|
            generation = ::ObjectSpace.allocation_generation(object)
            next if generation.nil? || generation < first

            key = @keys.of(object)
            @objects[object] = key if key && @groups.key?(key)
          end
        end
      end
    end
  end
end
