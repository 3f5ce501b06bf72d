# frozen_string_literal: true

module Tasker
  module Events
    # Which events there are: those of steps and tasks, and those that handlers define.
    #
    # @example
    #   Tasker::Events::Catalog.event_info("task.completed")[:description]
    class Catalog
      EXAMPLES = { "String" => "text", "Integer" => 1, "Float" => 2.34, "Time" => "2026-01-01T00:00:00.000Z", "Array" => [], "Hash" => {} }.freeze
      STEP = { task_id: "Integer", step_id: "Integer", step_name: "String", attempt_number: "Integer", retry_limit: "Integer", timestamp: "Time" }.freeze
      TASK = { task_id: "Integer", task_name: "String", namespace_name: "String", total_steps: "Integer", completed_steps: "Integer",
               timestamp: "Time" }.freeze
      FAILURE = { error_message: "String", exception_class: "String", backtrace: "Array" }.freeze
      # The most important facts of each kind of event.
      FACTS = {
        started: STEP.merge(step_inputs: "Hash", step_dependencies: "Array"), step: STEP,
        step_completed: STEP.merge(execution_duration: "Float", step_results: "Hash"), step_failed: STEP.merge(execution_duration: "Float", **FAILURE),
        retry: STEP.merge(backoff_seconds: "Float", **FAILURE), step_outcome: STEP.merge(execution_duration: "Float"),
        steps: STEP.merge(step_ids: "Array", step_count: "Integer", processing_mode: "String"),
        steps_done: STEP.merge(processed_count: "Integer", successful_count: "Integer"),
        task: TASK.merge(total_execution_duration: "Float"), task_started: TASK.merge(task_context: "Hash"),
        task_failed: TASK.merge(error_message: "String", error_steps: "Array"), waiting: TASK.merge(delay_seconds: "Float"),
        finalized: TASK.merge(final_status: "String")
      }.freeze
      private_constant :EXAMPLES, :STEP, :TASK, :FAILURE, :FACTS

      @more = {}.freeze
      @lock = Mutex.new

      class << self
        # @return [Hash{String => Hash}] the events that this process publishes by itself, by
        #   name. Each has :name, :category, :description, :payload_schema, :example_payload and
        #   :fired_by.
        def catalog
          @catalog ||= Names.published.to_h { |entry| [entry.name, describe(entry)] }.freeze
        end

        # @param name [String, Symbol]
        # @return [Hash, nil]
        def event_info(name) = complete_catalog[Names.canonical(name)]

        # @!method task_events
        #   @return [Hash{String => Hash}]
        # @!method step_events
        #   @return [Hash{String => Hash}]
        # @!method workflow_events
        #   @return [Hash{String => Hash}]
        # @!method observability_events
        #   @return [Hash{String => Hash}]
        %w[task step workflow observability].each do |category|
          define_method(:"#{category}_events") { catalog.select { |_, event| event[:category] == category } }
        end

        # @return [Hash{String => Hash}] with the custom events
        def complete_catalog = catalog.merge(registered, @more)

        # @return [Hash{String => Hash}]
        def custom_events = registered.merge(@more)

        # @param query [String] in a name or a description
        # @return [Hash{String => Hash}]
        def search_events(query)
          query = query.to_s.downcase
          complete_catalog.select { |name, event| name.downcase.include?(query) || event[:description].to_s.downcase.include?(query) }
        end

        # @param namespace [String, Symbol] such as "order"
        # @return [Hash{String => Hash}]
        def events_by_namespace(namespace) = complete_catalog.select { |name, _| name.start_with?("#{namespace}.") }

        # @param name [String, Symbol]
        # @param metadata [Hash] :description, :payload_schema, :example and :fired_by
        # @return [nil]
        def register_custom_event(name, metadata = {})
          name = name.to_s
          Events.register(name, description: metadata[:description], fired_by: metadata[:fired_by])
          event = custom(name, metadata[:description], metadata[:fired_by] || "Custom", metadata[:payload_schema], metadata[:example])
          @lock.synchronize { @more = @more.merge(name => event).freeze }
          nil
        end

        # @param output [IO, nil] by default $stdout
        # @return [nil]
        def print_catalog(output: nil)
          output ||= $stdout
          output.puts "", "Tasker Event Catalog", "=" * 50
          complete_catalog.values.group_by { |event| event[:category] }.each do |category, events|
            output.puts "", "#{category.capitalize} Events:"
            events.each { |event| print_event(event, output) }
          end
          nil
        end

        private

        def describe(entry)
          facts = FACTS.fetch(entry.facts)
          { name: entry.name, category: entry.category, description: entry.description, payload_schema: facts,
            example_payload: facts.transform_values { |type| EXAMPLES.fetch(type) },
            fired_by: [entry.source == :step ? "the step's thread" : "the engine, after the commit"] }.freeze
        end

        def registered
          Events.custom.to_h { |name, event| [name, custom(name, event[:description], event[:fired_by])] }
        end

        def custom(name, description, fired_by, schema = nil, example = nil)
          { name: name, category: "custom", description: description || "Custom event", payload_schema: schema || {},
            example_payload: example || {}, fired_by: Array(fired_by) }.freeze
        end

        def print_event(event, output)
          output.puts "  #{event[:name]}", "    Description: #{event[:description]}", "    Fired by: #{event[:fired_by].join(", ")}"
          output.puts "    Payload: #{event[:payload_schema].keys.join(", ")}" if event[:payload_schema].any?
        end
      end
    end
  end
end
