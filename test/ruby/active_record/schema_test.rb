# frozen_string_literal: true

# The schema is read as through ActiveRecord's own adapter, and changed outside
# steps only.
class SchemaTest < Suite::Case
  def self.reads(name, &block)
    define_method("test_#{name}") { assert_same { |m| instance_exec(m::Base.connection, &block) } }
  end

  TABLES = %w[accounts profiles orders lines notes journal samples].freeze

  reads("tables") { |c| (c.tables & TABLES).sort }
  reads("columns") do |c|
    TABLES.flat_map { |t| c.columns(t).map { |k| [t, k.name, k.sql_type, k.type, k.null, k.default, k.default_function, k.limit, k.precision, k.scale, k.array?] } }
  end
  reads("indexes") { |c| TABLES.flat_map { |t| c.indexes(t).map { |i| [i.table, i.name, i.unique, i.columns, i.using, i.where, i.orders] } }.sort_by { |i| i[1] } }
  reads("foreign_keys") { |c| TABLES.flat_map { |t| c.foreign_keys(t).map { |f| [f.from_table, f.to_table, f.column, f.on_delete, f.name] } } }
  reads("check_constraints") { |c| c.check_constraints("accounts").map { |k| [k.name, k.expression] } }
  reads("primary_keys") { |c| TABLES.map { |t| [c.primary_key(t), c.primary_keys(t), c.pk_and_sequence_for(t)&.first] } }
  reads("existence") do |c|
    [c.table_exists?("accounts"), c.table_exists?("nothing"), c.column_exists?(:accounts, :email, :citext), c.index_exists?(:accounts, :email, unique: true),
     c.foreign_key_exists?(:orders, :accounts), c.schema_exists?("public"), c.view_exists?("accounts"), c.data_source_exists?("accounts"), c.extension_enabled?("hstore")]
  end
  reads("the_database") { |c| [c.current_database, c.current_schema, c.encoding, c.collation, c.ctype, c.schema_names, c.schema_search_path, c.client_min_messages, c.max_identifier_length] }
  reads("versions") { |c| [c.database_version, c.postgresql_version, c.adapter_name, c.supports_insert_on_conflict?, c.supports_advisory_locks?, c.supports_lazy_transactions?] }
  reads("sequences") { |c| [c.default_sequence_name("accounts"), c.serial_sequence("orders", "id")] }
  reads("dump") do |c|
    out = StringIO.new
    source = ActiveRecord::VERSION::MAJOR < 8 && ActiveRecord.version < Gem::Version.new("7.2") ? c : c.pool
    ActiveRecord::SchemaDumper.dump(source, out)
    out.string
  end

  CHANGES = {
    create_table: ->(c) { c.create_table(:shelves) { |t| t.string :name } },
    add_column: ->(c) { c.add_column(:journal, :extra, :integer, default: 3) },
    rename_column: ->(c) { c.rename_column(:journal, :extra, :more) },
    change_column_default: ->(c) { c.change_column_default(:journal, :more, from: 3, to: 4) },
    change_column_null: ->(c) { c.change_column_null(:journal, :more, false, 0) },
    change_column: ->(c) { c.change_column(:journal, :more, :bigint) },
    add_index: ->(c) { c.add_index(:journal, :more, name: "index_more", unique: true, where: "more > 0") },
    rename_index: ->(c) { c.rename_index(:journal, "index_more", "index_most") },
    remove_index: ->(c) { c.remove_index(:journal, name: "index_most") },
    add_reference: ->(c) { c.add_reference(:journal, :account, foreign_key: true) },
    remove_foreign_key: ->(c) { c.remove_foreign_key(:journal, :accounts) },
    remove_reference: ->(c) { c.remove_reference(:journal, :account) },
    add_check_constraint: ->(c) { c.add_check_constraint(:journal, "more < 100", name: "few") },
    remove_check_constraint: ->(c) { c.remove_check_constraint(:journal, name: "few") },
    change_table: ->(c) { c.change_table(:journal, bulk: true) { |t| t.string :a; t.string :b } },
    remove_columns: ->(c) { c.remove_columns(:journal, :a, :b) },
    remove_column: ->(c) { c.remove_column(:journal, :more) },
    rename_table: ->(c) { c.rename_table(:shelves, :racks) },
    drop_table: ->(c) { c.drop_table(:racks) },
    create_schema: ->(c) { c.create_schema("other") },
    drop_schema: ->(c) { c.drop_schema("other") },
    disable_extension: ->(c) { c.disable_extension("hstore") },
    enable_extension: ->(c) { c.enable_extension("hstore") }
  }.freeze

  def test_changes
    return CHANGES.each { |name, change| refused(name) { change.call(connection) } } if in_step?

    connection.transaction do
      CHANGES.each { |name, change| change.call(connection) unless name.to_s.end_with?("extension") }
      assert_equal %w[entry id], connection.columns("journal").map(&:name).sort
      raise ActiveRecord::Rollback
    end
  end

  class Shelves < ActiveRecord::Migration[6.1]
    def change
      create_table(:shelves) { |t| t.string :name, index: true }
      reversible { |d| d.up { execute "INSERT INTO shelves (name) VALUES ('first')" } }
    end
  end

  class Failing < ActiveRecord::Migration[6.1]
    def change
      create_table(:shelves)
      execute "SELECT 1 / 0"
    end
  end

  def test_migrations
    return refused("a migration") { migrate(:up, Shelves) } if in_step?

    migrate(:up, Shelves)
    assert_equal "first", connection.select_value("SELECT name FROM shelves")
    assert_includes versions, "7"
    migrate(:down, Shelves)
    refute connection.table_exists?("shelves")
    refute_includes versions, "7"
  end

  def test_a_failed_migration_leaves_nothing
    return refused(:create_table) { Failing.new.migrate(:up) } if in_step?

    assert_raises(StandardError) { migrate(:up, Failing) }
    refute connection.table_exists?("shelves")
    assert_equal 1, connection.select_value("SELECT 1")
    migrate(:up, Shelves) # the lock is free again
    migrate(:down, Shelves)
  end

  def test_an_index_built_concurrently
    return refused(:add_index) { connection.add_index(:journal, :entry, algorithm: :concurrently) } if in_step?

    connection.add_index(:journal, :entry, algorithm: :concurrently)
    connection.remove_index(:journal, :entry, algorithm: :concurrently)
    refute connection.index_exists?(:journal, :entry)
  end

  def test_schema_definitions_are_refused_in_steps
    return assert(!in_step?) unless in_step?

    refused(:create_table) { ActiveRecord::Schema.define { create_table(:shelves) } }
  end

  def test_advisory_locks
    return refused("a migration") { connection.get_advisory_lock(5) } if in_step?

    assert connection.get_advisory_lock(5)
    refute Theirs::Base.connection.get_advisory_lock(5)
    assert connection.release_advisory_lock(5)
    assert Theirs::Base.connection.get_advisory_lock(5)
    assert Theirs::Base.connection.release_advisory_lock(5)
  end

  private

  def refused(operation)
    error = assert_raises(Tasker::ActiveRecord::SchemaChangeError, operation.to_s) { yield }
    assert_match(/\A#{operation} is not possible inside a step/, error.message)
    assert_equal "SCHEMA_CHANGE_IN_STEP", error.error_code
    assert_kind_of Tasker::PermanentError, error
    assert_equal 1, connection.select_value("SELECT 1")
  end

  def migrate(direction, migration)
    Suite::Schema.migrate(direction, migration, 7)
  end

  def versions
    connection.select_values("SELECT version FROM schema_migrations")
  end
end
