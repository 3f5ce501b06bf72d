# frozen_string_literal: true

# A job for each step. The last job of a level pushes the jobs of the next one.
require_relative "work"
require "active_record"
require "delayed_job_active_record"
require "uri"

address = URI(WORK["database_url"])
options = URI.decode_www_form(address.query.to_s).to_h
ActiveRecord::Base.establish_connection(
  adapter: "postgresql", host: options["host"], port: options["port"], username: address.user, database: address.path.delete_prefix("/")
)

Step = Struct.new(:task, :level, :step, :context) do
  def perform
    database = ActiveRecord::Base.connection
    database.exec_update("update accounts set n = n + 1 where id = #{account(task, step)}") if WORK["sql"]
    handle(context)
    return unless last_of_level?(database)

    level + 1 == LEVELS.size ? database.exec_insert("insert into job_tasks values (#{task})") : push_next
  end

  private

  def last_of_level?(database)
    LEVELS[level] == 1 || database.select_value(<<~SQL) == LEVELS[level]
      insert into job_joins values (#{task}, #{level}, 1)
      on conflict (task, level) do update set ended = job_joins.ended + 1 returning ended
    SQL
  end

  def push_next
    first = LEVELS.first(level + 1).sum
    LEVELS[level + 1].times { |i| Delayed::Job.enqueue(Step.new(task, level + 1, first + i, context)) }
  end
end
