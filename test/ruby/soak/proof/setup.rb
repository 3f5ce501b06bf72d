# frozen_string_literal: true

# The table of the proof's handlers, and their libraries.
require "active_record"
require "sequel"

Tasker.db.exec("CREATE TABLE IF NOT EXISTS proof_rows (id bigserial PRIMARY KEY, n bigint NOT NULL, body jsonb, at timestamptz)")
ActiveRecord::Base.establish_connection(adapter: "tasker")
