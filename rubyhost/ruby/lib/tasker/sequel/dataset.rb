# frozen_string_literal: true

module Tasker
  module SequelAdapter
    # Sequel's dataset for PostgreSQL, which reads {Postgres::Result}.
    #
    # The gem sequel_pg replaces some of Sequel's methods by C functions that read
    # the memory of a PG::Result. This class takes Sequel's general methods back.
    # Other databases keep the fast ones.
    class Dataset < ::Sequel::Postgres::Dataset
      %i[map each as_hash to_hash to_hash_groups _select_map_multiple _select_map_single].each do |name|
        general = ::Sequel::Dataset.instance_method(name)
        visibility = %i[private protected].find { |v| ::Sequel::Dataset.public_send("#{v}_method_defined?", name) }
        define_method(name, general)
        __send__(visibility, name) if visibility
      end

      def fetch_rows(sql, &block)
        return cursor_fetch_rows(sql, &block) if @opts[:cursor]

        execute(sql) { |result| yield_hash_rows(result, fetch_rows_set_cols(result), &block) }
      end

      private

      # @return [Array(Array<Symbol>, Array<#call, nil>)] the columns' names, and the procs that convert their texts
      def fetch_rows_set_cols(result)
        procs = db.conversion_procs
        names = result.fields.map { |f| output_identifier(f) }
        self.columns = names
        [names, Array.new(names.size) { |i| procs[result.ftype(i)] }]
      end

      def yield_hash_rows(result, columns)
        names, procs = columns
        width = names.size
        result.each_row do |values|
          row = {}
          i = 0
          while i < width
            value = values[i]
            type_proc = procs[i]
            row[names[i]] = type_proc && !value.nil? ? type_proc.call(value) : value
            i += 1
          end
          yield row
        end
      end

      # These two do not take a connection for each literal, as Sequel's do.

      def literal_blob_append(sql, value)
        sql << "'" << Postgres::Connection.escape_bytea(value) << "'"
      end

      def literal_string_append(sql, value)
        sql << "'" << Postgres::Connection.escape_string(SequelAdapter.utf8(value)) << "'"
      end
    end
  end
end
