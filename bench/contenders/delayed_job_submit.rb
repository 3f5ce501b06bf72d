# frozen_string_literal: true

# Makes the table of jobs, as delayed_job's generator does, and the first job of each task.
require_relative "delayed_job_steps"

ActiveRecord::Migration.verbose = false
ActiveRecord::Schema.define do
  create_table :delayed_jobs do |t|
    t.integer :priority, default: 0, null: false
    t.integer :attempts, default: 0, null: false
    t.text :handler, null: false
    t.text :last_error
    t.datetime :run_at
    t.datetime :locked_at
    t.datetime :failed_at
    t.string :locked_by
    t.string :queue
    t.timestamps null: true
  end
  add_index :delayed_jobs, %i[priority run_at], name: "delayed_jobs_priority"
end

bytes = WORK["context_bytes"]
context = bytes.zero? ? "{}" : JSON.generate(payload: "x" * (bytes - 14))
Delayed::Job.transaction do
  (1..WORK["tasks"]).each do |task|
    LEVELS.first.times { |i| Delayed::Job.enqueue(Step.new(task, 0, i, context)) }
  end
end
