# frozen_string_literal: true

require "bigdecimal"
require "date"
require "fiber"
require "set"
require "time"

# Handlers that use everything a handler may use, and leave nothing behind: values of all
# kinds, errors, timeouts, cancels, fibers, threads, SQL in three ways, events and logs.
module Proof
  # Counts events without keeping them.
  class Listener < Tasker::Events::Subscribers::BaseSubscriber
    subscribe_to "step.completed", "step.failed", "proof.counted"

    class << self
      attr_accessor :seen
    end
    self.seen = 0

    def handle_step_completed(_event) = self.class.seen += 1
    def handle_step_failed(_event) = self.class.seen += 1
    def handle_proof_counted(_event) = self.class.seen += 1
  end
  Listener.subscribe

  # What the handlers share.
  class Step < Tasker::StepHandler::Base
    private

    def n(task) = task.context["n"]
  end

  # Results of each kind that JSON can hold.
  class Values < Step
    TEXTS = ["", "plain", "ünïcödé ✓", "a\tb", "\"quoted\\\"", "x" * 300, "日本語" * 40].freeze

    def process(task, _sequence, _step)
      i = n(task)
      {
        integers: [0, -1, i, 2**31, -(2**62), 2**70 + i, 10**40], floats: [0.0, -0.5, i / 7.0, 1e300, 5e-324],
        texts: TEXTS, text: "task #{i} " * (i % 50), symbol: :"kind_#{i % 10}", nothing: nil, yes: true, no: false,
        decimal: BigDecimal("#{i}.25"), rational: Rational(i, 3).to_s, day: Date.new(2026, 1, 1) + (i % 365), time: Time.at(i).utc,
        nested: { "list" => Array.new(i % 20) { |k| { "k" => k, "square" => k * k } } }, set: Set[i, i + 1].to_a, range: (1..5).to_a
      }
    end
  end

  # Raises in the first attempts of some tasks.
  class Errors < Step
    class Flaky < StandardError; end

    def process(task, sequence, step)
      raise Flaky, "task #{n(task)} fails at first" if step.attempts == 1 && (n(task) % 5).zero?
      raise Tasker::RetryableError.new("busy", retry_after: 3, context: { n: n(task) }) if step.attempts == 1 && n(task) % 5 == 1

      begin
        Integer("not a number #{n(task)}")
      rescue ArgumentError => e
        { rescued: e.message, text: sequence["values"].results["text"].size }
      end
    end
  end

  # Is interrupted in the first attempt of some tasks.
  class Timeouts < Step
    def process(task, _sequence, step)
      if step.attempts == 1 && (n(task) % 40).zero?
        begin
          sleep 5
        ensure
          Array.new(50) { |i| "cleaned up #{i}" }
        end
      end
      { attempts: step.attempts }
    end
  end

  # Fibers, enumerators, threads of the step's own, catch and throw.
  class Fibers < Step
    def process(task, _sequence, _step)
      squares = Enumerator.new { |y| 10.times { |i| y << (i * i) } }
      squares.next
      lazy = (1..Float::INFINITY).lazy.map { |i| i * n(task) }.first(5)
      fiber = Fiber.new { |x| loop { x = Fiber.yield(x + 1) } }
      resumed = Array.new(5) { |i| fiber.resume(i) }
      thrown = catch(:done) { [1, 2, 3].each { |i| throw :done, i if i == 2 } }
      threads = (n(task) % 50).zero? ? Array.new(2) { |i| Thread.new { i * 2 } }.map(&:value) : []
      { squares: squares.take(5), lazy: lazy, resumed: resumed, thrown: thrown, threads: threads }
    end
  end

  # Tasker.db: rows, parameters, errors in a savepoint.
  class PlainSQL < Step
    def process(task, _sequence, _step)
      row = Tasker.db.first("INSERT INTO proof_rows (n, body, at) VALUES ($1, $2, $3) RETURNING id, at", [n(task), { n: n(task) }.to_json, Time.at(n(task))])
      failed = begin
        Tasker.db.transaction { Tasker.db.exec("SELECT 1 / $1::int", [0]) }
      rescue Tasker::SQLError => e
        e.class.name
      end
      rows = Tasker.db.exec("SELECT g AS g, repeat('x', g) AS t, g * 1.5 AS d, now() AS at, ARRAY[g, g] AS a FROM generate_series(1, 20) g")
      Tasker.db.exec("DELETE FROM proof_rows WHERE id = $1", [row["id"]])
      { rows: rows.size, failed: failed, text: rows.sum { |r| r["t"].size } }
    end
  end

  # The same with Sequel.
  class SequelSQL < Step
    DB = Tasker.sequel

    def process(task, _sequence, _step)
      id = DB[:proof_rows].insert(n: n(task), body: Sequel.lit("'{}'::jsonb"), at: Time.at(n(task)))
      DB.transaction { DB[:proof_rows].where(id: id).update(n: n(task) + 1) }
      found = DB[:proof_rows].where(id: id).select(:n, :at).first
      DB[:proof_rows].where(id: id).delete
      { n: found[:n], after: DB.fetch("SELECT ? AS v", "task #{n(task)}").get(:v) }
    end
  end

  # A row, for ActiveRecord.
  class Row < ActiveRecord::Base
    self.table_name = "proof_rows"
  end

  # The same with ActiveRecord. It opens no transaction of ActiveRecord's: each of them
  # makes an ObjectSpace::WeakMap, and CRuby before 3.3 loses some 30 bytes with each of
  # those (its bug 19398). Models below does open them.
  class RecordSQL < Step
    def process(task, _sequence, _step)
      id = Row.insert({ n: n(task), body: { "n" => n(task) }, at: Time.at(n(task)) }, returning: :id).rows[0][0]
      Row.where(id: id).update_all(n: n(task) + 1)
      row = Row.find(id)
      read = Row.where(id: id).pick(:n)
      Row.where(id: id).delete_all
      { n: read, same: row.n == read, body: row.body.size, at: row.at.to_i }
    end
  end

  # ActiveRecord as most people use it. It is not part of the proof; see RecordSQL.
  class Models < Step
    def process(task, _sequence, _step)
      row = Row.create!(n: n(task), body: { "n" => n(task) }, at: Time.at(n(task)))
      Row.transaction(requires_new: true) do
        row.update!(n: n(task) + 1)
        raise ActiveRecord::Rollback
      end
      read = Row.where(id: row.id).pick(:n)
      row.destroy!
      { n: read }
    end
  end

  # Events of its own, and logs of all levels.
  class Events < Step
    def self.custom_event_configuration
      [{ name: "proof.counted", description: "A task was counted" }]
    end

    def process(task, _sequence, step)
      publish_custom_event("proof.counted", n: n(task))
      logger.info("task #{n(task)}, step #{step.name}")
      log_structured(:info, "counted", n: n(task), list: [1, 2, 3])
      log_exception(RuntimeError.new("only logged"), context: { n: n(task) })
      { events: Listener.seen.positive? }
    end
  end

  # Reads what all others have returned.
  class Collect < Step
    def process(_task, sequence, step)
      read = sequence.steps.to_h { |s| [s.name, s.results.to_s.size] }
      { read: read.size, of: step.name }
    end

    def process_results(step, output, _initial)
      step.results = output.merge("checked" => output[:read] == 9 ? "yes" : "no")
    end
  end
end
