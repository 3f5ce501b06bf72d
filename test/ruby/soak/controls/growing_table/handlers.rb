# frozen_string_literal: true

# A table in the database grows; the process does not.
module GrowingTable
  LOCK = 20_261_128 # of the one who makes the table

  class Work < Tasker::StepHandler::Base
    def process(task, _sequence, _step)
      make_table unless Tasker.db.first("SELECT to_regclass('soak_rows') IS NOT NULL AS there")["there"]
      Tasker.db.exec("INSERT INTO soak_rows (task_id, text) VALUES ($1, $2)", [task.task_id, "x" * 500])
      { inserted: 1 }
    end

    private

    def make_table
      Tasker.db.exec("SELECT pg_advisory_xact_lock($1)", [LOCK])
      Tasker.db.exec("CREATE TABLE IF NOT EXISTS soak_rows (task_id bigint NOT NULL, text text NOT NULL)")
    end
  end
end
