# frozen_string_literal: true

module Suite
  # What the steps of the Go test do. The test looks at the effects afterwards.
  module Bodies
    module_function

    def connection
      ActiveRecord::Base.connection
    end

    def account
      Ours::Account.find_or_create_by!(email: "a@example.com")
    end

    def order(number)
      Ours::Order.create!(number: number, account: account)
    end

    # Starts a thread that outlives the step, as ActiveRecord's reaper does.
    def starts_a_reaper
      Suite.reaper_orders = Queue.new
      Suite.reaper_answers = Queue.new
      Tasker.keep_thread do
        Thread.new do
          while (order = Suite.reaper_orders.pop)
            Suite.reaper_answers << begin
              order.call
            rescue StandardError => e
              "#{e.class}: #{e.message}"
            end
          end
        end
      end
      {}
    end

    # The reaper's thread takes back what a dead thread of this step has left.
    def reaps
      pool = ActiveRecord::Base.connection_pool
      Thread.new { connection.select_value("SELECT 1") }.join
      Suite.reaper_orders << -> { pool.reap || "reaped" }
      Suite.reaper_orders << -> { pool.flush(0) || "flushed" }
      Suite.reaper_orders << nil
      { answers: Array.new(2) { Suite.reaper_answers.pop }.map { |a| a.is_a?(String) ? a : "done" }, dead: pool.stat[:dead] }
    end

    def saves_again_and_again
      o = order("1")
      o.update!(placed_on: Date.today)
      Ours::Order.transaction { o.touch }
      { told: Models.told }
    end

    def raises
      order("1")
      Models.told
      raise ArgumentError, "no"
    end

    def updates
      Ours::Order.find_by!(number: "1").update!(placed_on: Date.new(2026, 1, 1))
    end

    def destroys
      Ours::Order.find_by!(number: "1").destroy!
    end

    def undoes_an_update
      o = order("u")
      begin
        Ours::Order.transaction do
          o.update!(placed_on: Date.new(2026, 1, 1))
          raise ArgumentError
        end
      rescue ArgumentError
        o.save!
      end
      { placed_on: Ours::Order.find(o.id).placed_on, told: Models.told }
    end

    def inside_the_native_transaction
      order("kept")
      Tasker.db.transaction do
        order("gone")
        raise Tasker::DB::Rollback
      end
      { told: Models.told }
    end

    def two_instances
      o = order("1")
      Ours::Order.find(o.id).update!(placed_on: Date.today)
    end

    # Another thread has a connection of its own.
    def two_connections
      o = order("1")
      Thread.new do
        Ours::Base.connection_pool.with_connection { Ours::Order.find(o.id).update!(placed_on: Date.today) }
      end.join
      nil
    end

    # Older versions have no such methods: there, users take Tasker.after_commit.
    def waits_for_all_transactions
      new = ActiveRecord.respond_to?(:after_all_transactions_commit)
      after = new ? ActiveRecord.method(:after_all_transactions_commit) : Tasker.method(:after_commit)
      of_models = ->(&block) { new ? Ours::Order.current_transaction.after_commit(&block) : after.call(&block) }
      say = ->(text) { -> { Models.events << text } }
      after.call(&say.call("first"))
      of_models.call(&say.call("of models"))
      order("1")
      after.call(&say.call("after a record"))
      Ours::Base.transaction do
        after.call(&say.call("in a transaction"))
        of_models.call(&say.call("of models in a transaction"))
      end
      Ours::Base.transaction do
        order("2")
        after.call(&say.call("gone"))
        raise ActiveRecord::Rollback
      end
      { told: Models.told }
    end

    def waits_and_fails
      waits_for_all_transactions
      raise "no"
    end

    def works_after_the_commit
      Ours::Order.transaction do
        o = order("later")
        o.define_singleton_method(:committed!) do |**options|
          Ours::Entry.create!(entry: "in step: #{Ours::Base.connection.in_step?}, order is there: #{Theirs::Order.exists?(id)}") if options[:should_run_callbacks] != false
          super(**options)
        end
      end
    end

    def raises_after_the_commit
      order("raises").define_singleton_method(:committed!) { |**o| o[:should_run_callbacks] == false ? super(**o) : raise("too late") }
    end

    def uses_the_hooks_of_gems
      told = []
      wrapper = Object.new
      wrapper.define_singleton_method(:committed!) { |*, **| Models.events << "committed" }
      wrapper.define_singleton_method(:rolledback!) { |*, **| Models.events << "rolled back" }
      wrapper.define_singleton_method(:before_committed!) { |*| told << "before" }
      wrapper.define_singleton_method(:trigger_transactional_callbacks?) { true }
      connection.add_transaction_record(wrapper)
      { open: connection.transaction_open?, told: told + Models.told }
    end

    def swallows_a_failure
      order("1")
      begin
        connection.execute("SELECT 1 / 0")
      rescue ActiveRecord::StatementInvalid
        "as if nothing had happened"
      end
    end

    def rescues_a_violation
      order("1")
      begin
        order("1")
      rescue ActiveRecord::RecordNotUnique => e
        order("2")
        { cause: e.cause.class.name, orders: Ours::Order.order(:number).pluck(:number) }
      end
    end

    def deadlocks_once(step)
      order("d")
      as_if("40P01") if step.attempts == 1
      { attempts: step.attempts }
    end

    def swallows_a_deadlock
      order("d")
      Ours::Base.transaction { as_if("40P01") }
    rescue ActiveRecord::Deadlocked
      "as if nothing had happened"
    end

    def as_if(state)
      connection.execute("DO $$ BEGIN RAISE SQLSTATE '#{state}' USING MESSAGE = 'as if'; END $$")
    end

    def migrates
      ActiveRecord::Schema.define { create_table(:shelves) }
    end

    def isolation
      [connection.select_value("SHOW transaction_isolation"), Ours::Base.transaction { connection.select_value("SHOW transaction_isolation") }]
    end

    def commits_by_itself
      told = Ours::Base.transaction do
        order("own")
        Models.told
      end
      told += Models.told
      Ours::Entry.create!(entry: told.inspect)
      raise "the step fails, what was committed stays"
    end

    def sleeps
      Ours::Entry.create!(entry: "gone")
      connection.execute("SELECT pg_sleep(60)")
    end

    def loses_its_connection(step)
      Ours::Entry.create!(entry: "attempt #{step.attempts}")
      connection.execute("SELECT pg_terminate_backend(pg_backend_pid())") if step.attempts == 1
      Ours::Entry.pluck(:entry)
    end

    def reads_prepared
      Array.new(4) { Ours::Entry.where(id: -1).to_a.size }
    end

    def turns_the_query_cache_on
      connection.enable_query_cache!
      Ours::Entry.count
    end

    def counts_after_another_thread
      pool = Ours::Base.connection_pool
      pool.release_connection
      Thread.new { pool.with_connection { Ours::Entry.where(id: -1).to_a } }.join
      Ours::Entry.count
    end

    def counts_after_a_rollback_in_another_thread
      Thread.new do
        Ours::Base.connection_pool.with_connection do
          Ours::Entry.transaction(requires_new: true) { Ours::Entry.create!(entry: "gone"); raise ActiveRecord::Rollback }
        end
      end.join
      Ours::Entry.where(entry: "gone").count
    end

    def counts
      Ours::Entry.count
    end

    def writes_an_entry
      Ours::Entry.create!(entry: "x")
      { connections: ActiveRecord::Base.connection_pool.connections.size }
    end

    def outlives_the_step
      Thread.new { sleep 0.01 until Models.events.size.positive?; Ours::Entry.create!(entry: "too late") }.tap { |t| t.report_on_exception = false }
      nil
    end

    def leaves_a_transaction_open
      connection.begin_transaction
      Ours::Entry.create!(entry: "kept")
      nil
    end
  end

  # Runs one of the bodies.
  class Body < Tasker::StepHandler::Base
    def process(task, _sequence, step)
      body = Bodies.method(task.context["body"])
      body.arity.zero? ? body.call : body.call(step)
    end
  end

  # @return [Array<String>] what callbacks have reported since the last call
  def self.told
    Models.told
  end
end
