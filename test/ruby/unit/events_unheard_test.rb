# frozen_string_literal: true

require_relative "helper"

# Subscriptions to what never comes. Each runs in a Ruby of its own, with a folder of files.
class EventsUnheardTest < Minitest::Test
  def warnings(files)
    Dir.mktmpdir do |dir|
      files.each { |name, text| File.write(File.join(dir, name), text) }
      said, fine = ruby("require 'tasker'; l = Tasker::HandlerLoader.new; l.load_dir(#{dir.dump}); " \
                        "2.times { Tasker::Events::Unheard.warn { l.handler_names.map { |n| l.resolve(n) } } }")
      assert fine, said
      said.lines.map { |line| line[/#{Regexp.escape(File.basename(dir))}\/(.*)/, 1] }.compact
    end
  end

  SHIP = <<~RUBY
    class Ship < Tasker::StepHandler::Base
      def self.custom_event_configuration = [{ name: "order.shipped" }]
      def process(*) = publish_event("order.packed", id: 1)
    end
  RUBY

  def test_names_that_come
    assert_empty warnings("ship.rb" => SHIP, "a_first.rb" => <<~RUBY)
      %w[task.completed step.failed workflow.task_failed order.shipped order.packed].each { |name| Tasker::Events.subscribe(name) { nil } }
      Tasker::Events.subscribe(/^task/) { nil }
      Tasker::Events.subscribe { nil }
      Tasker::Events.subscribe(:task_completed) { nil }
    RUBY
  end

  def test_names_that_do_not
    assert_equal ["subs.rb:1: the event workflow.error never comes: tasker-engine has no such event; use task.failed",
                  "subs.rb:2: nobody publishes the event order.shiped; did you mean order.shipped?",
                  "subs.rb:5: the event task.retry_requested never comes: an operator does it with `tasker-rb tasks`, in another process; use step.execution_requested"],
                 warnings("ship.rb" => SHIP, "subs.rb" => <<~RUBY)
                   Tasker::Events.subscribe("workflow.error") { nil }
                   Tasker::Events.subscribe("order.shiped") { nil }
                   class Alerts < Tasker::Events::Subscribers::BaseSubscriber
                     subscribe_to "order.shipped",
                     "task.completed"; subscribe_to :task_retry_requested
                     def handle_order_shipped(_) = nil
                     def handle_task_completed(_) = nil
                     def handle_task_retry_requested(_) = nil
                   end
                   Alerts.subscribe(Tasker::Events::Publisher.instance)
                 RUBY
  end

  def test_names_that_code_publishes_in_other_ways
    assert_empty warnings("other.rb" => <<~RUBY, "subs.rb" => 'Tasker::Events.subscribe("task.retry_requested") { nil }; Tasker::Events.subscribe("stock.low") { nil }')
      class Other
        include Tasker::Concerns::EventPublisher
        LOW = "stock.low"
        def low = publish_event(LOW)
        def again(task) = publish_task_retry_requested(task)
      end
    RUBY
  end

  def test_names_that_are_made_at_run_time
    assert_empty warnings("other.rb" => 'class Other; def go(k) = Tasker::Events.publish("stock.#{k}"); end', "subs.rb" => 'Tasker::Events.subscribe("stock.low") { nil }')
  end

  def test_a_subscriber_that_nobody_subscribes
    said = warnings("subs.rb" => <<~RUBY)
      class Lost < Tasker::Events::Subscribers::BaseSubscriber
        subscribe_to "task.completed"
        def handle_task_completed(_) = nil
      end
      class Parent < Tasker::Events::Subscribers::BaseSubscriber
        subscribe_to "task.completed"
        def handle_task_completed(_) = nil
      end
      class Child < Parent; end
      Child.subscribe
    RUBY

    assert_equal ["subs.rb:2: Lost hears nothing, because nothing has called Lost.subscribe"], said
  end
end
