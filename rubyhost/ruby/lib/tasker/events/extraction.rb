# frozen_string_literal: true

module Tasker
  module Events
    # Reads facts out of events, for metrics. {Subscribers::BaseSubscriber} includes it.
    module Extraction
      # Which kind an error is, by the name of its class.
      KINDS = {
        "timeout" => /timeout/i, "network" => /connection|network/i, "not_found" => /notfound|missing|404/i,
        "auth" => /unauthorized|forbidden|401|403/i, "rate_limit" => /ratelimit|toomanyrequests|429/i,
        "client_error" => /badrequest|invalid|400/i, "server_error" => /servererror|internalerror|500/i,
        "runtime" => /standarderror|runtimeerror/i
      }.freeze
      NUMBER = /\A\s*[-+]?(\d|\.\d)/
      private_constant :KINDS, :NUMBER

      protected

      # @param event [Event, Hash]
      # @param key [Symbol, String]
      # @return [Object]
      def safe_get(event, key, default = nil)
        return default if event.nil?

        facts = event.respond_to?(:payload) ? event.payload : event
        facts.fetch(key.to_sym) { facts.fetch(key.to_s, default) }
      end

      # @return [Hash{Symbol => Object}]
      def extract_core_attributes(event)
        { task_id: safe_get(event, :task_id, "unknown"), step_id: safe_get(event, :step_id),
          event_timestamp: safe_get(event, :timestamp, Time.now.utc).to_s }.compact
      end

      # @return [Hash{Symbol => Object}]
      def extract_step_attributes(event)
        extract_core_attributes(event).merge({ step_id: safe_get(event, :step_id), step_name: safe_get(event, :step_name, "unknown_step") }.compact)
      end

      # @return [Hash{Symbol => Object}] of a step or a task
      def extract_timing_metrics(event)
        { execution_duration: safe_get(event, :execution_duration, 0.0).to_f, started_at: safe_get(event, :started_at),
          completed_at: safe_get(event, :completed_at), step_count: safe_get(event, :total_steps, 0).to_i,
          completed_steps: safe_get(event, :completed_steps, 0).to_i, failed_steps: safe_get(event, :failed_steps, 0).to_i }
      end

      # @return [Hash{Symbol => Object}]
      def extract_error_metrics(event)
        attempt = safe_get(event, :attempt_number, 1).to_i
        { error_message: safe_get(event, :error_message, "unknown_error"), error_class: safe_get(event, :exception_class, "UnknownError"),
          error_type: categorize_error(safe_get(event, :exception_class)), attempt_number: attempt,
          is_retryable: safe_get(event, :retryable, false), final_failure: attempt >= safe_get(event, :retry_limit, 1).to_i }
      end

      # The host measures none of these; they are there if whoever published the event gave them.
      #
      # @return [Hash{Symbol => Numeric}]
      def extract_performance_metrics(event)
        { memory_usage: safe_get(event, :memory_usage, 0).to_i, cpu_time: safe_get(event, :cpu_time, 0.0).to_f,
          queue_time: safe_get(event, :queue_time, 0.0).to_f, processing_time: safe_get(event, :processing_time, 0.0).to_f,
          retry_delay: safe_get(event, :retry_delay, 0.0).to_f }
      end

      # @return [Array<String>] such as "task:order"
      def extract_metric_tags(event)
        environment = ENV["RAILS_ENV"] || ENV.fetch("RACK_ENV", nil)
        named = { task: :task_name, step: :step_name, source: :source_system, retryable: :retryable, attempt: :attempt_number, priority: :priority }
        tags = named.filter_map { |tag, key| (value = safe_get(event, key)) && "#{tag}:#{value}" }
        environment ? tags << "environment:#{environment}" : tags
      end

      # @return [Float, Object] the default when the fact is no number
      def extract_numeric_metric(event, key, default = 0)
        value = safe_get(event, key, default)
        return default unless value.respond_to?(:to_f)
        return default if value.nil? || (value.is_a?(String) && !value.match?(NUMBER))

        value.to_f
      end

      # @return [String] such as "tasker.task.completed"
      def build_metric_name(base_name, event_type) = "#{base_name}.#{event_type}".squeeze(".")

      private

      def categorize_error(error_class)
        name = error_class.to_s
        return "unknown" if name.empty?

        KINDS.each { |kind, pattern| return kind if pattern.match?(name) }
        "other"
      end
    end
  end
end
