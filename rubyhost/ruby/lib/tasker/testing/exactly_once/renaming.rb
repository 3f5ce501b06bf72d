# frozen_string_literal: true

module Tasker
  module Testing
    module ExactlyOnce
      # Finds whether rows are the same up to the names of generated keys: a bijection
      # between the keys of both sides that turns one side's rows into the other's.
      #
      # First it colours rows and keys by what is around them, until no colour splits
      # any more. Where several keys still have one colour, it tries which belongs to
      # which, and what it finds is checked.
      #
      # @api private
      class Renaming
        # A row: +label+ is all that must be equal, and +keys+ are the keys by column.
        Row = Struct.new(:label, :keys, :origin)
        # How many guesses may be wrong. So many identical rows that are connected in
        # such a way do not come from a task.
        MOST_WRONG = 10_000
        private_constant :MOST_WRONG

        # The colours of one state of the search, for both sides.
        Colours = Struct.new(:rows, :keys)
        private_constant :Colours

        # @return [Array(Array<Row>, Array<Row>)] those that the other side does not
        #   have; set when {#find} has found nothing
        attr_reader :unmatched

        # @param left [Array<Row>]
        # @param right [Array<Row>]
        def initialize(left, right)
          @sides = [left, right]
          @incident = @sides.map { |rows| incident(rows) }
          @wrong = 0
        end

        # @return [Hash, nil] from the keys of the left side to those of the right
        def find
          @unmatched = nil
          search(Colours.new(nil, @incident.map { |keys| keys.transform_values { 0 } }))
        end

        private

        def incident(rows)
          rows.each_with_object(Hash.new { |keys, key| keys[key] = [] }) do |row, keys|
            row.keys.each { |column, key| keys[key] << [column, row] }
          end
        end

        def search(colours)
          colours = refine(colours) or return
          classes = classes(colours)
          open = classes.find { |left, _| left.size > 1 }
          return checked(classes) unless open

          guess(colours, *open, classes)
        end

        # Colours until nothing splits; nil when the sides differ.
        def refine(colours)
          count = 0
          loop do
            colours = round(colours)
            return differ(colours.rows) unless same?(colours.rows.map(&:values))
            next unless same?(colours.keys.map(&:values)) # the next round finds the rows

            now = colours.keys.first.values.uniq.size + colours.rows.first.values.uniq.size
            return colours if now == count

            count = now
          end
        end

        def round(colours)
          names = {}
          rows = @sides.zip(colours.keys).map do |side, keys|
            side.to_h { |row| [row.object_id, name(names, [row.label, row.keys.map { |column, key| [column, keys[key]] }])] }
          end
          names = {}
          keys = @incident.each_with_index.map do |incident, side|
            incident.to_h do |key, at|
              [key, name(names, [colours.keys[side][key], at.map { |column, row| [column, rows[side][row.object_id]] }.sort])]
            end
          end
          Colours.new(rows, keys)
        end

        # The same number for the same description, on both sides.
        def name(names, description)
          names[description] ||= names.size
        end

        def same?(sides)
          sides.first.tally == sides.last.tally
        end

        # Remembers the rows of the first difference that was found.
        def differ(colours)
          @unmatched ||= @sides.each_with_index.map do |rows, side|
            spare = colours[1 - side].values.tally
            rows.reject { |row| spare.fetch(colours[side][row.object_id], 0).positive? && (spare[colours[side][row.object_id]] -= 1) }
          end
          nil
        end

        # @return [Array<Array(Array, Array)>] keys of the same colour, of both sides
        def classes(colours)
          left, right = colours.keys.map { |keys| keys.keys.group_by { |key| keys[key] } }
          left.map { |colour, keys| [keys, right.fetch(colour)] }
        end

        def guess(colours, left, right, classes)
          return search(pair(colours, left.zip(right))) if alone?(left, classes)

          right.each do |candidate|
            found = search(pair(colours, [[left.first, candidate]]))
            return found if found

            @wrong += 1
            raise Error, "assert_exactly_once cannot tell the keys of so many equal rows apart; have the block leave some out" if @wrong > MOST_WRONG
          end
          nil
        end

        # Whether the keys of this colour are connected to no other key that is open.
        # Then they are alike, and any pairs will do.
        def alone?(left, classes)
          open = classes.each_with_object({}) { |(keys, _), all| keys.each { |key| all[key] = true } if keys.size > 1 }
          left.all? { |key| @incident.first[key].all? { |_, row| row.keys.each_value.all? { |other| other == key || !open[other] } } }
        end

        def pair(colours, pairs)
          keys = colours.keys.map(&:dup)
          pairs.each_with_index do |(left, right), i|
            keys.first[left] = keys.last[right] = [:paired, i, colours.keys.first[left]]
          end
          Colours.new(colours.rows, keys)
        end

        def checked(classes)
          names = classes.to_h { |left, right| [left.first, right.first] }
          turned = @sides.first.map { |row| [row.label, row.keys.transform_values { |key| names[key] }] }
          names if turned.tally == @sides.last.map { |row| [row.label, row.keys] }.tally
        end
      end
    end
  end
end
