# frozen_string_literal: true

require "tasker/active_record"
require "active_record/connection_adapters/abstract/transaction"
require "active_record/connection_adapters/postgresql_adapter"
%w[open_transactions outermost pool_size schema_guard statement_pool step_transaction step_transaction_manager].each do |part|
  require "tasker/active_record/#{part}"
end

Tasker::ActiveRecord::Versions.install

module ActiveRecord
  module ConnectionHandling
    # ActiveRecord up to 7.1 calls this from establish_connection.
    def tasker_connection(config)
      config = config.symbolize_keys
      ConnectionAdapters::TaskerAdapter.check(config)
      return ConnectionAdapters::TaskerAdapter.new(config) if Tasker::ActiveRecord::Versions.connects_itself?

      client = ConnectionAdapters::TaskerAdapter.new_client({})
      ConnectionAdapters::TaskerAdapter.new(client, logger, {}, config)
    end
  end

  module ConnectionAdapters
    # ActiveRecord's PostgreSQL adapter, on one of tasker-rb's connections. See
    # {Tasker::ActiveRecord}.
    class TaskerAdapter < PostgreSQLAdapter
      ADAPTER_NAME = "PostgreSQL" # ActiveRecord and gems look up the database's features by this name

      # Options that say where the database is. The host already knows that.
      FOREIGN_KEYS = %i[url host port username user password dbname socket service].freeze

      OPTION = /(?:\A|(?<=\s))(?:-c\s*|--)([\w.-]+)=((?:\\.|[^\s\\])*)/.freeze
      private_constant :OPTION

      class << self
        # @return [Tasker::Postgres::Connection]
        def new_client(_parameters = nil)
          Tasker::Postgres.connect
        end

        # Newer versions connect later. What is wrong with a configuration is said
        # before that.
        #
        # @param config [Hash]
        # @raise [ArgumentError] when it names another database or a server, or has
        #   options of another form
        def check(config)
          server_options(config)
          given = FOREIGN_KEYS.select { |key| config[key] }
          given << :database unless own_database?(config[:database])
          return if given.empty?

          raise ArgumentError, "adapter: \"tasker\" takes no #{given.join(", ")}: its database is the one that tasker-rb " \
                               "works on; use adapter: \"postgresql\" for another"
        end

        # The configuration may name the host's own database, because some code
        # reads the name from there.
        def own_database?(name)
          name.nil? || name.to_s == Tasker::Postgres::Channel.info["db"]
        end

        def database_exists?(_config)
          true
        end

        # Newer versions build the table once for each class. Programs change that of
        # PostgreSQLAdapter, for example by its datetime_type.
        def native_database_types
          superclass.native_database_types
        end

        # The settings in the option `options`, which has the form of libpq's.
        #
        # @param config [Hash]
        # @return [Array<Array(String, Array<String>)>] names and values
        def server_options(config)
          text = config[:options].to_s
          options = text.scan(OPTION).map do |name, value|
            [name.tr("-", "_"), value.gsub(/\\(.)/, '\1').split(",").map { |v| v.strip.delete_prefix('"').delete_suffix('"') }]
          end
          return options if text.gsub(OPTION, "").strip.empty?

          raise ArgumentError, "adapter: \"tasker\" takes options of the form \"-c name=value\", and not #{text.inspect}"
        end
      end

      prepend Tasker::ActiveRecord::SchemaGuard

      def initialize(config_or_connection = nil, *rest)
        self.class.check(config_or_connection.symbolize_keys) if config_or_connection.is_a?(Hash)
        super
      end

      # Whether the caller runs inside a step. Its changes then commit with the
      # step.
      def in_step?
        !step_transactions.nil?
      end

      # @!visibility private
      def transaction_manager
        step_transactions || super
      end

      # Inside a step this is a savepoint.
      #
      # @see DatabaseStatements#transaction
      def transaction(requires_new: nil, isolation: nil, joinable: true, &block)
        step = step_transactions
        return super unless step

        refuse_isolation(isolation) if isolation
        super(requires_new: requires_new || step.at_bottom?, joinable: joinable, &block)
      end

      # Inside a step the engine looks after the connection. A lost connection
      # fails the step, and the next attempt gets another one.
      #
      # A thread that outlives the step which has started it may send nothing. The one
      # of ActiveRecord's reaper is such a thread. It removes connections that are not
      # active, and an error would end it: nobody would take back what dead threads leave.
      def active?
        in_step? ? open? : super
      rescue Tasker::SQLError::TransactionControl
        false
      end

      def reconnect!(**options)
        in_step? && open? ? clear_cache! : super
      end

      def reset!
        return super unless tasker_connection

        @lock.synchronize do
          clear_cache!
          next if in_step?

          reset_transaction
          tasker_connection.reset
          configure_connection
        end
      end

      def throw_away!(*)
        super unless in_step?
      end

      # After a deadlock or a serialization failure the whole step has to be
      # tried again. Older versions of ActiveRecord do not call this method: they
      # always act as if it were true.
      #
      # @!visibility private
      def savepoint_errors_invalidate_transactions?
        in_step? || super
      end

      # @!visibility private
      def select_all(*, **)
        step_transactions # drops the cached answers of another step
        super
      end

      # An advisory lock belongs to a physical connection. After its release that
      # connection can serve others.
      #
      # @!visibility private
      def release_advisory_lock(*)
        super.tap { tasker_connection.reset unless in_step? || tasker_connection.transaction_status != ::PG::PQTRANS_IDLE }
      end

      # @!visibility private
      def forget_statement(name)
        tasker_connection&.deallocate(name)
      end

      private

      # The transactions of the caller's step; nil outside steps.
      def step_transactions
        serial = Tasker::Host.job_serial
        return @step_transactions if serial == @step_serial

        changed_step(serial)
      end

      def changed_step(serial)
        step = Tasker::ActiveRecord::StepTransaction.current
        @step_serial = serial
        @step_transactions = step && Tasker::ActiveRecord::StepTransactionManager.new(self, step)
        clear_query_cache if @query_cache
        @step_transactions
      end

      # Whether newer versions may connect by themselves. In a step they may make
      # the first connection, but they must not repeat a failed statement.
      def reconnect_can_restore_state?
        in_step? ? !open? : super
      end

      def open?
        connection = tasker_connection
        connection ? !connection.finished? : false
      end

      # The name of the variable depends on the version.
      def tasker_connection
        @raw_connection || @connection
      end

      def configure_connection
        tasker_connection.configure do
          self.class.server_options(@config).each { |name, values| execute("SET SESSION #{name} TO #{values.map { |v| quote(v) }.join(", ")}", "SCHEMA") }
          super
        end
      end

      # Newer versions set the time zone again when ActiveRecord.default_timezone
      # has changed.
      def reconfigure_connection_timezone
        tasker_connection.configure { super }
      end

      # Newer versions log the execution of a prepared statement inside the block
      # that translates its error. There the statement is not known any more.
      def log(sql, name = "SQL", binds = [], *rest, **options)
        super
      rescue ::PG::Error => e
        raise translate_exception_class(e, sql, binds)
      end

      def build_statement_pool
        Tasker::ActiveRecord::StatementPool.new(self, self.class.type_cast_config_to_integer(@config[:statement_limit]))
      end

      def refuse_isolation(level)
        raise ActiveRecord::TransactionIsolationError,
              "transaction(isolation: #{level.inspect}) is not possible inside a step, whose transaction the engine began; " \
              "say isolation: #{level.to_s.tr("_", " ")} for the step in the template"
      end
    end
  end
end
