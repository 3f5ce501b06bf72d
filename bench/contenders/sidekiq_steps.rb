# frozen_string_literal: true

# A job for each step. The last job of a level pushes the jobs of the next one.
require_relative "work"
require "sidekiq"
require "pg"

Sidekiq.configure_client { |config| config.redis = { url: WORK["redis_url"] } }
Sidekiq.configure_server do |config|
  config.redis = { url: WORK["redis_url"] }
  config.on(:startup) { say "working" }
end

class Step
  include Sidekiq::Worker

  FIRST = LEVELS.each_index.map { |level| LEVELS.first(level).sum }.freeze

  def perform(task, level, step, context)
    update(task, step) if WORK["sql"]
    handle(context)
    return unless last_of?(task, level)

    level + 1 == LEVELS.size ? finish : push(task, level + 1, context)
  end

  private

  def update(task, step)
    conn = Thread.current[:pg] ||= PG.connect(WORK["database_url"]).tap { |c| c.prepare("update", UPDATE) }
    conn.exec_prepared("update", [account(task, step)])
  end

  def last_of?(task, level)
    LEVELS[level] == 1 || Sidekiq.redis { |r| r.incr("join:#{task}:#{level}") } == LEVELS[level]
  end

  def push(task, level, context)
    jobs = Array.new(LEVELS[level]) { |i| [task, level, FIRST[level] + i, context] }
    jobs.one? ? Step.perform_async(*jobs.first) : Sidekiq::Client.push_bulk("class" => Step, "args" => jobs)
  end

  def finish
    say "done" if Sidekiq.redis { |r| r.incr("done") } == WORK["tasks"]
  end
end
