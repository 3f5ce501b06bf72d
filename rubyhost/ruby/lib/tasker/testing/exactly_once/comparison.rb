# frozen_string_literal: true

require_relative "snapshot"
require_relative "renaming"
require_relative "keys"

module Tasker
  module Testing
    module ExactlyOnce
      # Compares the rows after a crash with those of undisturbed runs. What differs
      # between two undisturbed runs is not compared.
      #
      # @api private
      class Comparison
        # @return [Array<String>] what is not compared
        attr_reader :not_compared

        # @param first [Snapshot] of an undisturbed run
        # @param second [Snapshot] of another one
        # @param keys [Keys]
        def initialize(first, second, keys)
          @first = first
          @keys = keys
          @columns = {} # [table, column] => true, when it is not compared
          @tables = {}
          @not_compared = []
          leave_sizes_out(first, second)
          leave_columns_out(first, second)
          leave_tables_out(first, second)
        end

        # @return [Boolean] whether nothing is left to compare
        def nothing?
          @first.tables.each_key.all? { |table| @tables[table] }
        end

        # @param run [Snapshot]
        # @return [Array<String>, nil] the first difference; nil when there is none
        def difference(run)
          renaming = renaming(@first, run)
          describe(*(renaming.unmatched || [[], []])) unless renaming.find
        end

        private

        def leave_columns_out(first, second)
          columns = (first.rows + second.rows).flat_map { |table, row| row.keys.map { |column| [table, column] } }.uniq
          columns.each do |table, column|
            next if @tables[table]

            values = [first, second].map { |snapshot| snapshot.tables.fetch(table, []).map { |row| row[column] } }
            note_clock(table, column, values)
            next @keys.settle(table, column) if values.first.tally == values.last.tally
            next if @keys.generated?(table, column, values.flatten)

            @columns[[table, column]] = true
            @not_compared << "#{table}.#{column} (differs without a crash)"
          end
        end

        def note_clock(table, column, values)
          @not_compared << "#{table}.#{column} (read from the clock)" if values.flatten.include?(Snapshot::CLOCK)
        end

        def leave_sizes_out(first, second)
          (first.tables.keys | second.tables.keys).each do |table|
            sizes = [first, second].map { |snapshot| snapshot.tables.fetch(table, []).size }
            leave_out(table, "#{sizes.join(" and ")} rows without a crash") unless sizes.uniq.size == 1
          end
        end

        def leave_tables_out(first, second)
          loop do
            renaming = renaming(first, second)
            break if renaming.find

            leave_out(renaming.unmatched.flatten.first.origin.first, "its rows differ without a crash")
          end
        end

        def leave_out(table, why)
          @tables[table] = true
          @not_compared << "#{table} (#{why})"
        end

        def renaming(left, right)
          Renaming.new(*[left, right].map { |snapshot| rows(snapshot) })
        end

        def rows(snapshot)
          snapshot.rows.filter_map do |table, row|
            next if @tables[table]

            keys = row.filter_map { |column, value| (key = @keys.key(table, column, value)) && [column, key] }.sort_by(&:first).to_h
            rest = row.reject { |column, _| keys.key?(column) || @columns[[table, column]] }
            Renaming::Row.new([table, rest.sort], keys, [table, row])
          end
        end

        # Only the first table's difference: the others often follow from it.
        def describe(missing, extra)
          fewer, more = without_pairs(missing, extra)
          return connected(missing, extra) if fewer.empty? && more.empty?

          table = (more + fewer).first.origin.first
          fewer, more = [fewer, more].map { |rows| rows.map(&:origin).select { |of, _| of == table }.map(&:last) }
          fewer.size == more.size ? changed(table, fewer, more.first) : counted(table, fewer, more)
        end

        # Drops the rows that are equal but for their keys.
        def without_pairs(missing, extra)
          spare = extra.map(&:label).tally
          fewer = missing.reject { |row| spare.fetch(row.label, 0).positive? && (spare[row.label] -= 1) }
          more = extra.select { |row| spare.fetch(row.label, 0).positive? && (spare[row.label] -= 1) }
          [fewer, more]
        end

        def counted(table, fewer, more)
          difference = more.size - fewer.size
          ["#{table} has #{difference.abs} #{difference.positive? ? "more" : "fewer"} #{difference.abs == 1 ? "row" : "rows"} than without a crash:",
           *more.first(3).map { |row| "  + #{words(row)}" }, *fewer.first(3).map { |row| "  - #{words(row)}" }]
        end

        # Beside the row that it is most like.
        def changed(table, fewer, after)
          before, columns = fewer.map { |row| [row, differing(table, row, after)] }.min_by { |_, differing| differing.size }
          ["#{table} has another row than without a crash:", "    #{words(after)}",
           *columns.first(5).map { |column| "  #{column} is #{after[column].inspect}, and was #{before[column].inspect}" }]
        end

        def differing(table, before, after)
          (before.keys | after.keys).reject do |column|
            before[column] == after[column] || @columns[[table, column]] || @keys.key(table, column, after[column])
          end
        end

        def connected(missing, extra)
          row = extra.first or return ["the rows are the same, but their keys connect others"]
          table, after = row.origin
          before = missing.find { |other| other.label == row.label }.origin.last
          ["#{table} has the same values, but its keys connect other rows:", "  + #{words(after)}", "  - #{words(before)}"]
        end

        def words(row)
          row.map { |column, value| "#{column}: #{value.is_a?(Symbol) ? "…" : value.inspect}" }.join(", ")
        end
      end
    end
  end
end
