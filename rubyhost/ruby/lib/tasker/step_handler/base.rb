# frozen_string_literal: true

module Tasker
  # The base classes of step handlers.
  module StepHandler
    autoload :Api, "tasker/step_handler/api"

    # The base class of step handlers. A subclass must have {#process}, and may
    # have {#process_results}.
    #
    # Every execution gets an instance of its own, so instance variables are
    # safe to use. The next attempt does not see them.
    #
    # @example
    #   class ChargePayment < Tasker::StepHandler::Base
    #     def process(task, sequence, step)
    #       total = sequence.get_results("validate_order")["total_cents"]
    #       Gateway.charge(task.context["card"], total, key: "charge-#{step.id}")
    #     rescue Gateway::Busy => e
    #       raise Tasker::RetryableError.new(e.message, retry_after: 5)
    #     end
    #   end
    class Base
      include Logging
      include Concerns::EventPublisher

      # The handler's own events.
      #
      # @return [Array<Hash>] each with +name:+ and +description:+
      def self.custom_event_configuration
        []
      end

      # @param config [Context, Hash, Api::Config, nil] the handler_config of the template; nil
      #   when it has none
      def initialize(config: nil)
        @config = config
      end

      # Runs the step: {#process}, then {#process_results}. Not to be
      # overridden.
      #
      # @return [Object] what {#process} returned
      def handle(task, sequence, step)
        return Events.around(step) { work(task, sequence, step) } if Events.listened_to?

        # The same as #work, with one method call less for every step.
        initial_results = step.results
        output = process(task, sequence, step)
        process_results(step, output, initial_results)
        output
      end

      # Does the step's work.
      #
      # @abstract
      # @param _task [Task]
      # @param _sequence [Sequence]
      # @param _step [Step]
      # @return [Object] the step's results, unless {#process_results} says otherwise
      # @raise [RetryableError, PermanentError]
      def process(_task, _sequence, _step)
        raise NotImplementedError, "#{self.class} has no method process(task, sequence, step)"
      end

      # Turns what {#process} returned into the step's results, by assigning
      # +step.results+. Its own value is ignored, and its exception fails the
      # step. The default assigns the output, unless {#process} has assigned
      # +step.results+ already.
      #
      # @param step [Step]
      # @param process_output [Object]
      # @param initial_results [Object] +step.results+ from before {#process}
      def process_results(step, process_output, initial_results)
        step.results = process_output if step.results == initial_results
      end

      protected

      # @return [Context] empty when the template has no handler_config
      def config
        @config ||= Context.new
      end

      private

      def work(task, sequence, step)
        initial_results = step.results
        output = process(task, sequence, step)
        process_results(step, output, initial_results)
        output
      end

      # A reopened class may take its config differently.
      #
      # @api private
      def self.method_added(name)
        super
        Execution.forget if name == :initialize
      end
      private_class_method :method_added
    end
  end
end
