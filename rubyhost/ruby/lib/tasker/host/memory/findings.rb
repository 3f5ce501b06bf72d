# frozen_string_literal: true

# These need objspace.
require_relative "search"
require_relative "edges"
require_relative "paths"
require_relative "spies"

module Tasker
  module Host
    module Memory
      # Makes suspects of what has grown: one for each leak. Objects that are reached
      # through others of the runs belong to those, and a container that holds the
      # objects of a suspect is the end of its path.
      class Findings
        # Ways that are compared for a suspect.
        SAMPLES = 3
        # Suspects of the handlers' own lines go before others that are not so many times
        # as large.
        OWN_WEIGHT = 10

        # Groups of objects that leave together. parents are the containers of its
        # outermost objects, with how many each holds.
        Leak = Struct.new(:groups, :shown, :parents, :bytes, :count, :own, :container, keyword_init: true)

        # @return [Array<Array<Object>>] of each suspect, those that can be spied on
        attr_reader :containers

        # @param census [Array(Census, Census)]
        # @param keys [Keys]
        # @param folders [Folders] of the handlers
        # @param tasks [Integer] of one run
        def initialize(census, keys, folders, tasks)
          @census = census
          @keys = keys
          @tasks = tasks
          @folders = folders
          @survivors = Survivors.new(census, keys, tasks)
          @hidden = [Memory, self, census, *census, keys, @survivors]
        end

        # @return [Array<Hash>] the JSON of the suspects
        def suspects(limit)
          @survivors.find
          search
          found = by_line(by_container(leaks))
          found += containers_alone(found)
          found.sort_by! { |leak| -weight(leak) }
          found = found.first(limit)
          @containers = found.map { |leak| leak.parents.keys.select { |object| Spies.possible?(object) } }
          found.map { |leak| suspect(leak) }
        end

        private

        def search
          wanted = {}.compare_by_identity
          wanted.update(@survivors.objects)
          @survivors.grown.each { |grown| wanted[grown.object] = nil }
          return if wanted.empty? || @survivors.living > Search::MOST_OBJECTS

          @hidden.push(@survivors.objects, @survivors.grown, @survivors.groups, *@survivors.grown)
          @search = Search.new(wanted, @hidden).run
          @paths = Paths.new(@search)
        end

        # @return [Array<Leak>]
        def leaks
          @members = @survivors.objects.keys.group_by { |object| @survivors.objects[object] }
          return @members.keys.map { |key| leak([key]) } unless @search

          forget_unreached
          @outermost = Outermost.new(@search, @survivors.objects)
          merged = @members.keys.group_by { |key| @outermost.group_of(key, @members) }
          merged.map { |first, keys| leak([first, *(keys - [first])]) }.reject { |leak| bounded?(leak) }
        end

        # A cache that lets go of old objects is no leak, even if it holds those of two runs.
        def bounded?(leak)
          holder, count = leak.parents.first
          count && count * 2 > @members[leak.groups.first].size && Containers.bounded?(holder, @census.first, count)
        end

        # What only this call's stack or our own tables refer to will go.
        def forget_unreached
          return if @search.unfinished

          @members.each_value { |objects| objects.select! { |object| @search.parent(object) } }
          @members.select! { |key, objects| objects.size * 2 > @survivors.groups[key].runs.sum }
        end

        def leak(keys)
          parents = @search ? parents(keys.first) : {}.compare_by_identity
          shown = shown(keys, parents.first&.first)
          Leak.new(groups: keys, shown: shown, parents: parents, bytes: keys.sum { |key| @survivors.groups[key].bytes },
                   count: @members[shown].size, own: keys.any? { |key| own?(key) })
        end

        # The outermost objects, if a line of the handlers made them, or stores them. Else
        # those inside that a handler's line made: a block first.
        def shown(keys, holder)
          first = keys.first
          return first if own?(first)

          own = keys.select { |key| own?(key) && @members[key].size * 2 >= @members[first].size }
          block = own.find { |key| ::Proc === @members[key].first }
          block || (own.first unless stored_by_handlers?(holder)) || first
        end

        def stored_by_handlers?(holder)
          holder && Spies.possible?(holder) && own_file?(Plain.place(holder)&.first)
        end

        def parents(key)
          counts = {}.compare_by_identity
          @members[key].each do |object|
            next unless @outermost.outermost?(object)

            holder = @paths.holder(object)
            counts[holder] = counts.fetch(holder, 0) + 1 if holder
          end
          sorted = {}.compare_by_identity
          counts.sort_by { |_, count| -count }.each { |holder, count| sorted[holder] = count }
          sorted
        end

        # Keys and values of one Hash are one leak, and so are two lines that fill one list.
        def by_container(leaks)
          joined(leaks) do |leak|
            holder, = leak.parents.first
            holder if holder && Plain.size(holder)
          end
        end

        # A handler's line that leaves objects of several classes is one leak.
        def by_line(leaks)
          lines = {}
          joined(leaks) { |leak| lines[@keys.place(leak.shown)] ||= Object.new if own?(leak.shown) }
        end

        # @yieldreturn [Object, nil] the same object for leaks that are one
        def joined(leaks)
          alike = {}.compare_by_identity
          leaks.sort_by { |leak| -weight(leak) }.each do |leak|
            same = yield(leak) || leak
            alike[same] ? join(alike[same], leak) : alike[same] = leak
          end
          alike.values
        end

        def weight(leak) = leak.bytes * (leak.own ? OWN_WEIGHT : 1)

        def join(first, other)
          first.groups += other.groups
          first.bytes += other.bytes
          other.parents.each { |holder, count| first.parents[holder] = first.parents.fetch(holder, 0) + count }
          first.own ||= other.own
        end

        # @return [Array<Leak>] of containers that hold no objects of other suspects; the
        #   bytes of the others are added to their suspects
        def containers_alone(leaks)
          holds = {}.compare_by_identity
          leaks.each { |leak| leak.parents.each_key { |holder| holds[holder] ||= leak } }
          held, others = @survivors.grown.reject { |one| inside?(one.object) }.partition { |one| holds.key?(one.object) }
          held.each { |one| holds[one.object].bytes += one.bytes }
          others.map { |one| alone(one) }
        end

        # The Hash inside a Set, and what nothing but our own tables refers to.
        def inside?(object)
          return false unless @search

          above = @search.parent(object)
          # Not nil?, which an object may override.
          (nil.equal?(above) && !@search.unfinished) || (::Hash === object && Plain.set?(above))
        end

        def alone(grown)
          place = Plain.place(grown.object)
          parents = {}.compare_by_identity
          parents[grown.object] = 1 # a literal Hash would copy a String
          Leak.new(groups: [], parents: parents, bytes: grown.bytes, count: grown.count,
                   own: own_file?(place&.first), container: grown.object)
        end

        def suspect(leak)
          objects = leak.container ? [leak.container] : samples(@members[leak.shown])
          place = leak.container ? Plain.place(leak.container) : @keys.place(leak.shown)
          path = path(objects)
          { kind: leak.container ? "container" : "objects", class: Plain.class_name(Plain.class_of(objects.first)),
            allocated: place && Plain.line(*place), count: (leak.count * 1000).fdiv(2 * @tasks).round.clamp([leak.count, 1].min..), bytes: leak.bytes.fdiv(2 * @tasks).round(1),
            path: path, example: Plain.example(objects.first),
            own: leak.own || path.any? { |holder| own_file?(holder.dig(:at, :file)) } }.compact
        end

        def samples(objects)
          (0...SAMPLES).map { |n| objects[(objects.size - 1) * n / (SAMPLES - 1)] }
        end

        def path(objects)
          return @paths.common(objects) if @search

          [{ kind: "root", name: "not searched for: #{@survivors.living} objects live" }]
        end

        def own?(key) = own_file?(@keys.place(key).first)

        def own_file?(file) = @folders.include?(file)
      end

      # Tells which objects of the runs are reached through others of them.
      class Outermost
        # @param search [Search]
        # @param objects [Hash{Object => Integer}] with their groups
        def initialize(search, objects)
          @search = search
          @objects = objects
          @found = {}.compare_by_identity
        end

        # @return [Boolean] whether no other is on the way to it
        def outermost?(object) = Plain.same?(of(object), object)

        # @param members [Hash{Integer => Array<Object>}] by group
        # @return [Integer] the group through which most objects of this one are reached
        def group_of(key, members)
          seen = [key]
          loop do
            above = members[key].map { |object| @objects[of(object)] }.tally.max_by { |group, count| [count, group == key ? 1 : 0] }.first
            return above if above == key || seen.include?(above) || !members.key?(above)

            seen << key = above
          end
        end

        private

        def of(object)
          way = []
          until nil.equal?(object) || Search::Root === object || @found.key?(key = @search.key(object))
            way << [key, object]
            object = @search.parent(object)
          end
          outermost = nil.equal?(object) || Search::Root === object ? nil : @found[key]
          way.reverse_each do |one, above|
            outermost ||= above if @objects.key?(above)
            @found[one] = outermost
          end
          outermost
        end
      end
    end
  end
end
