# frozen_string_literal: true

module Suite
  # The tables, made by migrations.
  module Schema
    class Tables < ActiveRecord::Migration[6.1]
      def change
        enable_extension "hstore"
        enable_extension "citext"
        create_table(:accounts) do |t|
          t.citext :email, null: false, index: { unique: true }
          t.string :name, limit: 40
          t.integer :status, null: false, default: 0
          t.decimal :balance, precision: 12, scale: 2, null: false, default: 0
          t.jsonb :settings, null: false, default: {}
          t.integer :orders_count, null: false, default: 0
          t.integer :lock_version, null: false, default: 0
          t.timestamps
          t.check_constraint "balance >= 0", name: "balance_not_negative"
        end
        create_table(:profiles) { |t| t.references(:account, foreign_key: true); t.string(:bio); t.timestamps }
        create_table(:orders) do |t|
          t.references :account, null: false, foreign_key: true
          t.string :number, null: false
          t.date :placed_on
          t.timestamps
          t.index %i[account_id number], unique: true
        end
        create_table(:lines) do |t|
          t.references :order, foreign_key: { on_delete: :cascade }
          t.string :sku
          t.integer :quantity, null: false, default: 1
          t.decimal :price, precision: 10, scale: 2
        end
        create_table(:notes, id: :uuid, default: "gen_random_uuid()") do |t|
          t.references :subject, polymorphic: true
          t.string :type
          t.text :body
        end
        create_table(:journal) { |t| t.string :entry }
        execute "CREATE SCHEMA elsewhere; CREATE TABLE elsewhere.hidden AS SELECT 7 AS n"
        execute "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')"
        create_table(:samples) { |t| sample_columns(t) }
      end

      private

      def sample_columns(table)
        %i[string text integer bigint float decimal boolean date time datetime timestamptz binary json jsonb uuid inet
           cidr macaddr bit bit_varying hstore citext xml money interval point int4range int8range numrange daterange
           tsrange tstzrange tsvector line lseg box path polygon circle].each do |type|
          type == :timestamptz ? table.column("a_#{type}", "timestamptz") : table.column("a_#{type}", type)
        end
        table.column :a_smallint, :integer, limit: 2
        table.column :a_numeric, :decimal, precision: 30, scale: 10
        table.column :a_mood, "mood"
        table.integer :many_integers, array: true
        table.string :many_strings, array: true, default: []
        table.decimal :many_decimals, array: true
        table.datetime :many_times, array: true
        table.column :many_jsons, :jsonb, array: true
        table.column :many_uuids, :uuid, array: true
      end
    end

    # Made through our adapter, so that migrations are tested too.
    def self.create
      place.schema_migration.create_table
      place.internal_metadata.create_table if place.respond_to?(:internal_metadata)
      migrate(:up, Tables, 1)
    end

    # @param direction [Symbol]
    # @param migration [Class]
    def self.migrate(direction, migration, version)
      migrations = [migration.new(migration.name, version)]
      kept = [place.schema_migration]
      kept << place.internal_metadata if place.respond_to?(:internal_metadata)
      ActiveRecord::Migrator.new(direction, migrations, *kept, direction == :up ? version : 0).migrate
    end

    # The object that has the table of versions depends on ActiveRecord's version.
    def self.place
      pool = ActiveRecord::Base.connection_pool
      pool.respond_to?(:schema_migration) ? pool : ActiveRecord::Base.connection
    end
    private_class_method :place
  end
end
