# frozen_string_literal: true

module Tasker
  module SequelAdapter
    ::Sequel.extension :migration

    # Refuses to migrate inside a step, before anything is done. Sequel's migrator
    # calls no method of the database that could refuse this.
    module NoMigrationsInSteps
      # For Sequel::Migrator.
      module Migrator
        def initialize(db, *rest)
          db.refuse_in_step("migrations") if db.is_a?(Database)
          super
        end
      end

      # For one Sequel::Migration.
      module Migration
        def apply(db, direction)
          db.refuse_in_step("migrations") if db.is_a?(Database)
          super
        end
      end
    end

    ::Sequel::Migrator.prepend(NoMigrationsInSteps::Migrator)
    ::Sequel::SimpleMigration.prepend(NoMigrationsInSteps::Migration)
    ::Sequel::Migration.singleton_class.prepend(NoMigrationsInSteps::Migration)
  end
end
