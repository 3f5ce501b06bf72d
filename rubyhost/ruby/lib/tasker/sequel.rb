# frozen_string_literal: true

require "tasker"
require "sequel"
begin
  require "sequel/adapters/postgres"
rescue LoadError => e
  raise LoadError, "Tasker.sequel is made of Sequel's own adapter for PostgreSQL, which needs the gem pg (#{e.message})"
end
unless Sequel::Postgres::USES_PG
  raise LoadError, "Tasker.sequel needs the gem pg: Sequel's adapter for PostgreSQL has found another driver"
end

module Tasker
  # Sequel on the step's connection; see {Tasker.sequel}. It is Sequel's own
  # adapter for PostgreSQL, with the same SQL, types and errors. Two parts are
  # replaced: how statements are sent, and how transactions begin and end.
  module SequelAdapter
    # Far more than the number of threads: a logical connection costs nothing,
    # and no thread should wait for one.
    MAX_CONNECTIONS = 1_000

    # Options that say where the server is. The host has set it already.
    ELSEWHERE = %i[host port user password database conn_str driver_options sslmode sslrootcert encoding charset].freeze

    @lock = Mutex.new

    class << self
      # @param options [Hash] as for Sequel.connect; without any option, each
      #   call returns the same database
      # @return [Database]
      def database(options)
        return connect(options) unless options.empty?

        @lock.synchronize { @database ||= connect({}) }
      end

      # @return [String] the text as the pg gem sends it
      # @!visibility private
      def utf8(text)
        case text.encoding
        when Encoding::UTF_8, Encoding::US_ASCII then text
        when Encoding::BINARY then text.dup.force_encoding(Encoding::UTF_8)
        else text.encode(Encoding::UTF_8)
        end
      end

      private

      def connect(options)
        ::Sequel.connect({ adapter: "tasker" }.merge(options))
      end
    end
  end
end

require_relative "sequel/connection"
require_relative "sequel/dataset"
require_relative "sequel/step_transactions"
require_relative "sequel/database"
require_relative "sequel/migrations"
