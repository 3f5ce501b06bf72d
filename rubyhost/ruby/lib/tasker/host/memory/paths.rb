# frozen_string_literal: true

module Tasker
  module Host
    module Memory
      # Writes the way from a root to an object as the reader knows it: modules go into
      # the names of their constants, and what is inside Ruby is left out.
      class Paths
        # Longer ways are shortened in the middle.
        MOST = 12

        # @param search [Search]
        def initialize(search)
          @search = search
        end

        # The commonest of the objects' ways.
        #
        # @param objects [Array<Object>]
        # @return [Array<Hash>] JSON of Holders
        def common(objects)
          paths = objects.map { |object| path(object) }
          paths.group_by { |path| path.map { |holder| [holder[:kind], holder[:kind] == "element" ? nil : holder[:name]] } }
               .max_by { |_, alike| alike.size }&.last&.first || []
        end

        # What a program knows to hold the object: a Set, and not the Hash inside; a thread,
        # for its locals.
        #
        # @return [Object, nil] nil for other roots
        def holder(object)
          above = @search.parent(object)
          above = @search.parent(above) while Search::Wrapper === above
          return if nil.equal?(above)
          return above.thread if Search::Root === above
          return above unless ::Hash === above

          set = @search.parent(above)
          Plain.set?(set) ? set : above
        end

        # @return [Array<Hash>]
        def path(object)
          root, *objects = way(object)
          holders = []
          holders << write(Edges::Edge.new(root.kind, root.name), objects.first) unless ::Object.equal?(objects.first)
          objects.each_cons(2) { |from, to| step(holders, from, to) }
          holders << constant(objects.last) if holders.empty?
          shortened(holders)
        end

        private

        # Without what is inside Ruby.
        def way(object)
          way = []
          until Search::Root === object || nil.equal?(object)
            way << object unless Search::Wrapper === object
            object = @search.parent(object)
          end
          way << (object || Search::Root.new("root", "not found in #{Search::SECONDS} seconds"))
          inside = ->(one, above) { ::Hash === one && Plain.set?(above) }
          way.reject.with_index { |one, index| index.positive? && inside.call(one, way[index + 1]) }.reverse
        end

        def step(holders, from, to)
          if ::Module === from
            edge = Edges.constant(from, to)
            return in_module(holders, from, to, edge) if edge
            holders << constant(from) if holders.empty?
          end
          edge = Edges.name(from, to)
          holders << write(edge, to)
        end

        # A module's name says the way to it.
        def in_module(holders, from, to, edge)
          return if ::Module === to && Plain::NAME.bind_call(to)

          edge.name = "#{Plain.class_name(from)}::#{edge.name}" unless ::Object.equal?(from)
          holders << write(edge, to)
        end

        def constant(mod)
          full = Plain.class_name(mod)
          place = full.match?(/\A[A-Z]/) && defined_at(full)
          write(Edges::Edge.new("constant", full, place || nil), mod)
        end

        def defined_at(name)
          Edges::CONSTANT_PLACE.bind_call(::Object, name)
        rescue ::NameError
          nil
        end

        def write(edge, object)
          place = edge.place || Plain.place(object)
          { kind: edge.kind, name: edge.name, class: Plain.class_name(Plain.class_of(object)),
            at: place && Plain.line(*place) }.compact
        end

        def shortened(holders)
          return holders if holders.size <= MOST

          left_out = holders.size - MOST + 1
          [*holders.first(MOST / 2), { kind: "reference", name: "… #{left_out} more …" }, *holders.last((MOST / 2) - 1)]
        end
      end
    end
  end
end
