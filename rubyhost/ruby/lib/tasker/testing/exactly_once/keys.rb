# frozen_string_literal: true

module Tasker
  module Testing
    module ExactlyOnce
      # Tells which columns hold generated keys, and which of these values are no
      # generated ones: those of the context, and of rows that were there before.
      #
      # Keys that are Strings are of one kind. Numbers are of a kind for each table: the
      # 1 of an order is not the 1 of a payment. A column payment_id holds the numbers
      # of the table payments.
      #
      # @api private
      class Keys
        NAME = /(?:\A|_|\.|\b)(?:id|uuid|guid)\z/i.freeze
        # A column with another name holds keys if all its values look like this, and
        # differ from run to run.
        TOKEN = /\A(?=.*\d)[\w+\/=-]{8,}\z/.freeze
        private_constant :NAME, :TOKEN

        # @param before [Snapshot] of the rows before the runs
        # @param context [Hash] of the task
        def initialize(before, context)
          @generated = {}
          @settled = {}
          @fixed = {}
          fix_context(context, "")
          before.rows.each { |table, row| row.each { |column, value| fix(table, column, value) } }
        end

        # @param column [String]
        # @return [Boolean]
        def named?(column)
          NAME.match?(column)
        end

        # Has a column count as one of generated keys, if its values look like that.
        #
        # @param values [Array<Object>] that differ from run to run
        # @return [Boolean]
        def generated?(table, column, values)
          values = values.compact
          return values.all? { |value| kind(table, column, value) } if named?(column)

          @generated[[table, column]] = values.any? && values.all? { |value| value.is_a?(String) && TOKEN.match?(value) }
        end

        # Has the values of a column count as they are, because two undisturbed runs have
        # the same: generated keys have other ones in each.
        #
        # @return [nil]
        def settle(table, column)
          @settled[[table, column]] = true
          nil
        end

        # @return [Array, nil] the key, for a {Renaming}; nil when the value is none
        def key(table, column, value)
          return if @settled[[table, column]] || !(named?(column) || @generated[[table, column]])

          kind = kind(table, column, value)
          [kind, value] if kind && !@fixed[[kind, value]]
        end

        private

        def kind(table, column, value)
          case value
          when String then :text
          when Integer then owner(table, column)
          end
        end

        # @return [String] the table that the numbers belong to, in the singular
        def owner(table, column)
          last = column[/[^.\]]*\z/]
          name = last[/\A(.+)_(?:id|uuid|guid)\z/i, 1]
          return singular(name) if name

          within = column[/([^.\[\]]+)(?:\[\d+\])?\.[^.]*\z/, 1] # customer.id, in a nested value
          singular(within || table[/[^.]*\z/])
        end

        def singular(name)
          name = name.downcase
          return "#{name.delete_suffix("ies")}y" if name.end_with?("ies")
          return name.delete_suffix("es") if name.match?(/(?:ss|x|ch|sh)es\z/)

          name.end_with?("ss") ? name : name.delete_suffix("s")
        end

        def fix(table, column, value)
          return unless named?(column) || value.is_a?(String)

          kind = kind(table, column, value)
          @fixed[[kind, value]] = true if kind
        end

        def fix_context(value, place)
          case value
          when Hash then value.each { |key, inner| fix_context(inner, [place, key.to_s].reject(&:empty?).join(".")) }
          when Array then value.each_with_index { |inner, i| fix_context(inner, "#{place}[#{i}]") }
          else fix("", place, value)
          end
        end
      end
    end
  end
end
