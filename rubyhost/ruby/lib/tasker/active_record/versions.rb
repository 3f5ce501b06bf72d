# frozen_string_literal: true

module Tasker
  module ActiveRecord
    # What differs between ActiveRecord 6.1 and newer versions. Nothing here asks for
    # a version's number.
    #
    # The adapter also has methods that some versions never call. Up to 7.0 these
    # are reconfigure_connection_timezone, reconnect_can_restore_state? and those of
    # {StepTransaction} from restore! to dirty?.
    #
    # @!visibility private
    module Versions
      module_function

      # From 7.2 on, adapters are found in a registry; before, by the name of their
      # file.
      def registry?
        ::ActiveRecord::ConnectionAdapters.respond_to?(:register)
      end

      # From 7.1 on, an adapter is made of its configuration alone, and connects
      # with the first statement. Before, it was given its connection.
      def connects_itself?
        ::ActiveRecord::ConnectionAdapters::PostgreSQLAdapter.instance_method(:initialize).parameters.none? { |kind, _| kind == :req }
      end

      # From 7.2 on, ActiveRecord.after_all_transactions_commit and
      # Model.current_transaction have to know which transactions are open; see
      # {OpenTransactions}.
      def open_transactions?
        ::ActiveRecord.respond_to?(:all_open_transactions)
      end

      # From 7.0 on, the types of one kind of database are found by the
      # configuration's name of the adapter, and not by the adapter's own; see
      # {TypeNames}. The change does no harm before.
      def install
        ::ActiveRecord::DatabaseConfigurations::HashConfig.prepend(PoolSize)
        ::ActiveRecord::Type.singleton_class.prepend(TypeNames)
        return unless open_transactions?

        ::ActiveRecord.singleton_class.prepend(OpenTransactions::All)
        ::ActiveRecord::Base.singleton_class.prepend(OpenTransactions::OfModels)
      end
    end

    # Models name the types of PostgreSQL: attribute :stay, :interval.
    #
    # @!visibility private
    module TypeNames
      def adapter_name_from(*)
        name = super
        name == :tasker ? :postgresql : name
      end
    end
  end
end
