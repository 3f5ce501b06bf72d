# frozen_string_literal: true

module Tasker
  module ActiveRecord
    # Refuses to change the schema inside a step.
    #
    # @!visibility private
    module SchemaGuard
      OPERATIONS = %i[
        create_table create_join_table drop_table drop_join_table rename_table change_table change_table_comment
        add_column add_columns remove_column remove_columns rename_column change_column change_column_default
        change_column_null change_column_comment add_timestamps remove_timestamps
        add_reference add_belongs_to remove_reference remove_belongs_to
        add_index remove_index rename_index
        add_foreign_key remove_foreign_key validate_foreign_key add_check_constraint remove_check_constraint
        validate_check_constraint validate_constraint add_exclusion_constraint remove_exclusion_constraint
        add_unique_constraint remove_unique_constraint
        create_schema drop_schema rename_schema create_enum drop_enum rename_enum add_enum_value rename_enum_value
        enable_extension disable_extension create_database drop_database recreate_database
      ].freeze

      OPERATIONS.each do |operation|
        define_method(operation) do |*args, **options, &block|
          raise SchemaChangeError, operation if in_step?

          super(*args, **options, &block)
        end
      end

      # Migrations take this lock first.
      def get_advisory_lock(lock_id)
        raise SchemaChangeError, "a migration" if in_step?

        super
      end
    end
  end
end
