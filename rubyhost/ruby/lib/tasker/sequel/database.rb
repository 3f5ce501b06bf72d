# frozen_string_literal: true

module Tasker
  module SequelAdapter
    # A Sequel::Database on the host's connections; see {Tasker.sequel}.
    class Database < ::Sequel::Postgres::Database
      include StepTransactions

      set_adapter_scheme :tasker

      def initialize(opts = ::Sequel::OPTS)
        refuse_elsewhere(opts)
        super({ max_connections: MAX_CONNECTIONS }.merge(opts))
      end

      # @return [Connection] a new one; only its settings are sent to the server
      def connect(server)
        conn = Connection.new(self)
        opts = server_opts(server)
        conn.set_notice_receiver(&opts[:notice_receiver]) if opts[:notice_receiver]
        sqls = connection_configuration_sqls(opts)
        conn.configure { |c| sqls.each { |sql| c.execute(sql) } } unless sqls.empty?
        conn
      end

      def disconnect_connection(conn)
        conn.finish
      end

      # Writes a parameter as the pg gem's encoders do.
      #
      # @!visibility private
      def bound_variable_arg(arg, conn)
        case arg
        when true then "t"
        when false then "f"
        when Float then FLOAT.encode(arg)
        when String then arg.is_a?(::Sequel::SQL::Blob) ? super : SequelAdapter.utf8(arg)
        else super
        end
      end

      FLOAT = ::PG::TextEncoder::Float.new
      private_constant :FLOAT

      # Whether the caller runs in a step. The engine owns the step's transaction.
      def in_step?
        synchronize(&:in_step?)
      end

      # Extensions look up the database's features by this name.
      def adapter_scheme
        :postgres
      end

      # Works outside steps only, and holds one of the host's connections there.
      # NOTIFY works in steps too; the server sends it at the commit.
      def listen(channels, opts = ::Sequel::OPTS, &block)
        return super unless in_step?

        raise ::Sequel::InvalidOperation,
              "LISTEN is not possible inside a step: the next attempt has another connection"
      end

      # All rows are read before the first is used. So an error in a later row is
      # raised where Sequel does not convert the pg gem's errors, and is converted
      # here.
      def copy_table(*, **)
        super
      rescue ::PG::Error => e
        raise_error(e)
      end

      def extend(*modules)
        if modules.any? { |m| m.name == "Sequel::Postgres::Streaming" }
          raise ::Sequel::Error, "the extension pg_streaming reads the pg gem's own connections; use Dataset#use_cursor instead"
        end

        super
      end

      # @raise [::Sequel::InvalidOperation] inside a step
      # @!visibility private
      def refuse_in_step(what)
        return unless in_step?

        raise ::Sequel::InvalidOperation,
              "#{what} cannot run inside a step: they would be part of its transaction, and hold their locks until it ends; " \
              "run them beforehand"
      end

      private

      def refuse_elsewhere(opts)
        given = ELSEWHERE.select { |name| opts[name] && !opts[name].to_s.empty? }
        return if given.empty?

        raise ::Sequel::Error,
              "the adapter tasker uses the host's database, and takes no #{given.join(", ")}; " \
              "for another database use Sequel.connect with adapter: \"postgres\""
      end

      def dataset_class_default
        Dataset
      end

      # Leaves out the settings that change nothing, because a connection repeats
      # its settings in each step.
      def connection_configuration_sqls(opts = @opts)
        sqls = super
        heard = opts[:notice_receiver] || opts.key?(:client_min_messages)
        sqls.reject! { |sql| sql.start_with?("SET client_min_messages") } unless heard # notices are dropped
        sqls.delete("SET standard_conforming_strings = ON") if parameter("standard_conforming_strings") == "on"
        sqls.delete("SET DateStyle = 'ISO'") if parameter("DateStyle").to_s.start_with?("ISO")
        sqls
      end

      def parameter(name)
        @parameters ||= Postgres::Channel.info["parameters"]
        @parameters[name]
      end
    end
  end
end
