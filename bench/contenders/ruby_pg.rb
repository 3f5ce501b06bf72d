# frozen_string_literal: true

# The tasks in a loop: leases of some tasks, and one transaction a step.
require_relative "work"
require "pg"

LEASE = WORK["lease"]
STEP = "insert into log_steps (task, step, results) values ($1, $2, $3)"

def connect
  conn = PG.connect(WORK["database_url"])
  conn.prepare("lease", "insert into log_leases values (nextval('log_batches')) returning batch")
  conn.prepare("tasks", "select id, context from log_tasks where id between $1 and $2")
  conn.prepare("update", UPDATE)
  conn.prepare("step", STEP)
  conn
end

def run(conn, task, step, context)
  if WORK["sql"]
    conn.transaction do
      conn.exec_prepared("update", [account(task, step)])
      conn.exec_prepared("step", [task, step, JSON.generate(handle(context))])
    end
  else
    conn.exec_prepared("step", [task, step, JSON.generate(handle(context))])
  end
end

def work(conn)
  loop do
    batch = conn.exec_prepared("lease").getvalue(0, 0).to_i
    tasks = conn.exec_prepared("tasks", [((batch - 1) * LEASE) + 1, batch * LEASE]).values
    return if tasks.empty?

    tasks.each do |task, context|
      LEVELS.sum.times { |step| run(conn, task.to_i, step, context) }
    end
  end
end

connections = Array.new(8) { connect }
say "working"
connections.map { |conn| Thread.new { work(conn) } }.each(&:value)
say "done"
sleep # until SIGTERM: the times of processes and connections that have ended are hard to read
