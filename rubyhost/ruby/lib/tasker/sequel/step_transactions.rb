# frozen_string_literal: true

module Tasker
  module SequelAdapter
    # Transactions inside a step. The engine owns the outer transaction, so
    # Sequel's outermost one, DATABASE.transaction, is a savepoint. Its hooks wait
    # for the commit or the rollback of the step.
    module StepTransactions
      # The weakest level first, with PostgreSQL's names.
      LEVELS = ["read uncommitted", "read committed", "repeatable read", "serializable"].freeze
      private_constant :LEVELS

      def in_transaction?(opts = ::Sequel::OPTS)
        synchronize(opts[:server]) { |conn| _trans(conn) || conn.in_step? ? true : false }
      end

      # Outside steps this is Sequel's own method. Inside a step, the outermost
      # transaction is a savepoint.
      def transaction(opts = ::Sequel::OPTS, &block)
        synchronize(opts[:server]) do |conn|
          return super if _trans(conn) || !conn.in_step?

          opts = opts.merge(tasker_step: true)
          opts[:savepoint] = nil if opts[:savepoint] == :only # the step's transaction counts as an outer one
          super
        end
      end

      # Inside a step the block runs once, after the commit of the step.
      def after_commit(opts = ::Sequel::OPTS, &block)
        raise ::Sequel::Error, "must provide block to after_commit" unless block

        synchronize(opts[:server]) { |conn| _trans(conn) || !conn.in_step? ? super : conn.after_commit(&block) }
      end

      # Inside a step the block runs once, when the step is rolled back.
      def after_rollback(opts = ::Sequel::OPTS, &block)
        raise ::Sequel::Error, "must provide block to after_rollback" unless block

        synchronize(opts[:server]) { |conn| _trans(conn) || !conn.in_step? ? super : conn.after_rollback(&block) }
      end

      # @return [Proc] returns whether the transaction was rolled back. Inside a
      #   step it returns nil until the step has ended.
      def rollback_checker(opts = ::Sequel::OPTS)
        synchronize(opts[:server]) do |conn|
          return super unless conn.in_step?

          rolled_back = nil
          after_commit(opts) { rolled_back = false }
          after_rollback(opts) { rolled_back = true }
          proc { rolled_back }
        end
      end

      def rollback_on_exit(opts = ::Sequel::OPTS)
        synchronize(opts[:server]) do |conn|
          return super if _trans(conn) || !conn.in_step?

          raise ::Sequel::InvalidOperation,
                "rollback_on_exit is not possible for the transaction of a step; raise an error, or use it inside DATABASE.transaction"
        end
      end

      private

      def transaction_options(conn, opts)
        opts[:tasker_step] ? super.merge(tasker_step: true) : super
      end

      def step_transaction?(conn)
        _trans(conn)&.fetch(:tasker_step, false)
      end

      def begin_new_transaction(conn, opts)
        return super unless opts[:tasker_step]

        refuse_options(conn, opts)
        log_connection_execute(conn, begin_savepoint_sql(0))
        log_connection_execute(conn, "SET TRANSACTION READ #{opts[:read_only] ? "ONLY" : "WRITE"}") unless opts[:read_only].nil?
      end

      def refuse_options(conn, opts)
        refuse_isolation(conn, opts)
        { deferrable: "PostgreSQL takes it before the first statement of a transaction only",
          synchronous: "it would decide how the engine's own commit is written",
          prepare: "the commit is the engine's" }.each do |option, why|
          next if opts[option].nil?

          raise ::Sequel::InvalidOperation, "the option :#{option} of transaction is not possible inside a step: #{why}"
        end
      end

      def refuse_isolation(conn, opts)
        level = opts.fetch(:isolation, transaction_isolation_level) or return
        wanted = TRANSACTION_ISOLATION_LEVELS.fetch(level).downcase
        current = conn.execute("SHOW transaction_isolation") { |r| r.getvalue(0, 0) }
        return if LEVELS.index(current) >= LEVELS.index(wanted)

        raise ::Sequel::InvalidOperation,
              "the transaction of this step is #{current}, and its level cannot be changed inside it: " \
              "say `isolation: #{wanted}` of the step in the template"
      end

      def commit_transaction(conn, opts = ::Sequel::OPTS)
        return super unless step_transaction?(conn)

        log_connection_execute(conn, commit_savepoint_sql(savepoint_level(conn) - 1))
      end

      # Also releases the savepoint. A loop of failing attempts would otherwise
      # pile up savepoints in the transaction.
      def rollback_transaction(conn, opts = ::Sequel::OPTS)
        return super unless step_transaction?(conn)

        depth = savepoint_level(conn) - 1
        log_connection_execute(conn, "#{rollback_savepoint_sql(depth)}; #{commit_savepoint_sql(depth)}")
      end

      # Hands the hooks of the outermost transaction on to the step.
      def transaction_hooks(conn, committed)
        return super if !committed || in_savepoint?(conn) || !step_transaction?(conn)

        waiting = _trans(conn)
        (waiting[:after_commit] || []).map { |hook| -> { conn.after_commit(&hook) } } +
          (waiting[:after_rollback] || []).map { |hook| -> { conn.after_rollback(&hook) } }
      end
    end
  end
end
