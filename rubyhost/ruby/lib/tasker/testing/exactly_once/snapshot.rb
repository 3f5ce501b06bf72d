# frozen_string_literal: true

require "date"

module Tasker
  module Testing
    module ExactlyOnce
      # What the block of assert_exactly_once has returned, as tables of rows: plain
      # values by column. A value that is nested, such as one of jsonb, has a column for
      # each place in it.
      #
      # @api private
      class Snapshot
        # Stands for a time that was read from the clock during the run.
        CLOCK = :"(a reading of the clock)"
        # How a String begins that may be a time, as JSON and databases write it.
        TIME = /\A\d{4}-\d\d-\d\d[T ]\d\d:\d\d/.freeze
        # Seconds by which clocks may be rounded.
        ROUNDED = 1
        private_constant :TIME, :ROUNDED

        # @return [Hash{String => Array<Hash{String => Object}>}] rows by table
        attr_reader :tables

        # @param value [Object] what the block returned
        # @param spans [Array<Range<Time>>] between which the run's clocks were
        def initialize(value, spans = [])
          @spans = spans.map { |span| (span.begin - ROUNDED)..(span.end + ROUNDED) }
          @tables = {}
          table("", value)
        end

        # @return [Array<Array(String, Hash)>] each row with its table
        def rows
          @tables.flat_map { |name, rows| rows.map { |row| [name, row] } }
        end

        # @return [Boolean]
        def empty? = @tables.each_value.all?(&:empty?)

        private

        def table(name, value)
          value = plain(value)
          case value
          when Hash
            return add(name, [value]) unless name.empty? || value.each_value.any? { |inner| collection?(inner) }

            value.each { |key, inner| table([name, key.to_s].reject(&:empty?).join("."), inner) }
          when Array then add(name, value)
          else add(name, [{ "value" => value }])
          end
        end

        def add(name, rows)
          (@tables[name.empty? ? "rows" : name] ||= []).concat(rows.map { |row| row(plain(row)) })
        end

        def row(value)
          value = { "value" => value } unless value.is_a?(Hash) || value.is_a?(Array)
          {}.tap { |row| flatten("", value, row) }
        end

        def flatten(place, value, row)
          value = plain(value)
          case value
          when Hash then nested(place, value, row) { |key| [place, key.to_s].reject(&:empty?).join(".") }
          when Array then nested(place, value.each_with_index.to_h { |inner, i| [i, inner] }, row) { |i| "#{place}[#{i}]" }
          else row[place] = clock?(value) ? CLOCK : scalar(value)
          end
        end

        # What can be compared: another object may not know what is equal to it.
        def scalar(value)
          case value
          when String, Numeric, Time, Date, nil, true, false then value
          else value.to_s
          end
        end

        def nested(place, pairs, row)
          row[place] = "(empty)" if pairs.empty?
          pairs.each { |key, inner| flatten(yield(key), inner, row) }
        end

        def collection?(value)
          value = plain(value)
          value.is_a?(Array) && value.all? { |inner| plain(inner).is_a?(Hash) }
        end

        # Datasets, relations, models and structs as Arrays and Hashes.
        def plain(value)
          case value
          when Hash, Array, String, Numeric, Time, nil, true, false then value
          when Struct then value.to_h
          when Symbol then value.to_s
          else model(value)
          end
        end

        # A relation of ActiveRecord has values, too: those of its query.
        def model(value)
          return value.to_a if value.is_a?(Enumerable)
          return value.attributes if value.respond_to?(:attributes) && value.attributes.is_a?(Hash) # ActiveRecord's
          return value.values if value.respond_to?(:values) && value.values.is_a?(Hash) # Sequel's
          return value.to_a if value.respond_to?(:to_ary) || value.respond_to?(:to_sql)

          value
        end

        def clock?(value)
          return false if @spans.empty?

          time = time(value)
          time && @spans.any? { |span| span.cover?(time) }
        end

        def time(value)
          case value
          when Time then value
          when DateTime then Time.at(Clock.seconds(value))
          when TIME then Time.parse(value.match?(/(Z|[+-]\d\d:?\d*)\z/) ? value : "#{value} UTC")
          end
        rescue ArgumentError
          nil
        end
      end
    end
  end
end
