# frozen_string_literal: true

module TaskerCore
  # The events that the publishes_events of a template declare. They are published in this
  # process, at most once, after the outcome of the attempt is stored.
  module DomainEvents
    # Makes the payload of events. A template names a publisher as its +name+.
    class BasePublisher
      # @return [Logger]
      attr_reader :logger

      def initialize
        @logger = Logger.instance
      end

      # @abstract
      # @return [String] as the template has it
      def name
        raise NotImplementedError, "#{self.class} has no method name"
      end

      # @param step_result [Tasker::Context] with success, result and metadata
      # @param _event_declaration [Tasker::Context, Hash] with name, condition, delivery_mode and publisher
      # @param _step_context [StepFacts, nil]
      # @return [Object] the payload
      def transform_payload(step_result, _event_declaration, _step_context = nil) = step_result[:result] || {}

      # @return [Boolean]
      def should_publish?(_step_result, _event_declaration, _step_context = nil) = true

      # @return [Hash] that is added to the event's metadata
      def additional_metadata(_step_result, _event_declaration, _step_context = nil) = {}

      # @return [void]
      def before_publish(_event_name, _payload, _metadata); end

      # @return [void]
      def after_publish(_event_name, _payload, _metadata); end

      # @return [void]
      def on_publish_error(event_name, error, _payload)
        logger.error("the event #{event_name} could not be published: #{Tasker::Events.in_a_line(error)}")
      end

      # Publishes one event to the subscribers of this process.
      #
      # @param ctx [Hash] :event_name, :step_result, :event_declaration and :step_context
      # @return [Boolean] whether it was published
      def publish(ctx)
        given = [ctx[:step_result], ctx[:event_declaration] || {}, ctx[:step_context]]
        return false unless should_publish?(*given)

        payload = transform_payload(*given)
        metadata = basic_metadata(ctx[:step_context]).merge(additional_metadata(*given))
        deliver(ctx, payload, metadata)
      end

      private

      def deliver(ctx, payload, metadata)
        before_publish(ctx[:event_name], payload, metadata)
        Worker::InProcessDomainEventPoller.instance.dispatch(DomainEvents.event(ctx, payload, metadata))
        after_publish(ctx[:event_name], payload, metadata)
        true
      rescue StandardError => e
        on_publish_error(ctx[:event_name], e, payload)
        false
      end

      def basic_metadata(context)
        facts = { publisher: name, published_at: Time.now.utc.iso8601 }
        return facts unless context.respond_to?(:task_uuid)

        facts.merge(task_uuid: context.task_uuid, step_uuid: context.step_uuid, step_name: context.step_name, namespace: context.namespace_name)
      end
    end

    # What subscribers get.
    #
    # @api private
    # @return [Tasker::Context]
    def self.event(ctx, payload, metadata)
      result = ctx[:step_result] || {}
      context = ctx[:step_context]
      fired = { fired_at: Time.now.utc.iso8601, fired_by: metadata[:publisher], correlation_id: metadata[:task_uuid] }
      Tasker::Context.wrap(
        event_id: SecureRandom.uuid, event_name: ctx[:event_name], event_version: "1.0", metadata: fired.merge(metadata), business_payload: payload,
        execution_result: { success: result[:success], status: result[:success] ? "completed" : "failed", step_uuid: metadata[:step_uuid],
                            error: result[:error] },
        context: { task_uuid: metadata[:task_uuid], task_name: context.respond_to?(:task) ? context.task.name : nil,
                   namespace: metadata[:namespace], step_name: metadata[:step_name] }
      )
    end
  end
end
