# frozen_string_literal: true

module Tasker
  module TaskHandler
    # The hooks of one task handler's class, as the host calls them around the handler of
    # a step. A step whose template names no task handler never comes here.
    #
    # @api private
    class Hooks
      OURS = [InstanceMethods, ConfiguredTask, Object, Kernel].freeze
      SERVICE = "tasker-rb's schemas"
      private_constant :OURS, :SERVICE

      class << self
        # @param name [String] of the class, as the template has it
        # @yieldreturn [Class] when the class has to be found
        # @return [Hooks, nil] nil when there is no such class, or it defines no hook
        def of(name)
          known = KNOWN[name]
          known = KNOWN[name] = find(name) { yield } || false if known.nil? # rubocop:disable Style/ExplicitBlockArgument
          known || nil
        end

        private

        # tasker-engine defines a class that is missing, so to miss one is no error.
        def find(name)
          hooks = new(yield)
          hooks unless hooks.none?
        rescue HandlerNotFound
          Tasker.logger.info("the template names the task handler #{name}, and no file defines this class; it has no hooks to call")
          nil
        end
      end

      # @param handler_class [Class]
      def initialize(handler_class)
        @class = handler_class
        @establishes = own?(:establish_step_dependencies_and_defaults)
        @annotates = own?(:update_annotations)
        @schema = own?(:schema)
      end

      # @return [Boolean]
      def none? = !@establishes && !@annotates && !@schema

      # @return [String, nil] the schema as JSON
      # @raise [HandlerError] when it is no schema
      def schema_json
        schema_of(@class.new) if @schema
      end

      # Calls the hooks around the handler of a step.
      #
      # @param sequence [Sequence]
      # @yield runs the handler
      # @return [nil]
      def around(sequence, &handler)
        task_handler = @class.new
        step = sequence.current_step
        # In every attempt: the first one may have died with its process.
        check(task_handler, sequence.task) if @schema && step.root_step?
        establish(task_handler, sequence) if @establishes
        @establishes ? limited(step, &handler) : yield
        return unless @annotates

        step.handled
        task_handler.update_annotations(sequence.task, sequence, [step])
        nil
      end

      private

      def own?(hook)
        @class.public_method_defined?(hook) && !OURS.include?(@class.instance_method(hook).owner)
      end

      def place(hook) = @class.instance_method(hook).source_location.to_a.join(":")

      def establish(task_handler, sequence)
        sequence.changeable = true
        task_handler.establish_step_dependencies_and_defaults(sequence.task, sequence.steps)
      ensure
        sequence.changeable = false
        warn_of_limit(sequence.current_step)
      end

      def warn_of_limit(step)
        set = step.limit_set or return
        return if set <= step.retry_limit

        Tasker.logger.warn("#{place(:establish_step_dependencies_and_defaults)}: #{@class} sets the retry_limit of #{step.name} to #{set}; " \
                           "the template's #{step.retry_limit} is the highest that counts")
      end

      # The engine knows the template's limit. A lower one ends the step here.
      def limited(step)
        yield
      rescue StandardError => e
        raise unless step.last_by_hook?

        raise PermanentError, "#{e.class}: #{e.message}" if e.frozen?

        e.extend(Permanent)
        raise
      end

      def schema_of(task_handler)
        schema = task_handler.schema or return
        RubyVersions.generate_json(schema)
      rescue JSON::GeneratorError, JSON::NestingError => e
        raise HandlerError, "#{place(:schema)}: #{@class}#schema is no JSON: #{e.message}"
      end

      # The host has the context, and validates.
      def check(task_handler, task)
        schema = schema_of(task_handler) or return
        reply = RubyVersions.parse_json(Host.ask(SERVICE, schema))
        fault = reply["fault"]
        raise HandlerError, "#{place(:schema)}: #{@class}#schema is no JSON schema: #{fault}" if fault

        problems = reply["problems"].to_a
        return if problems.empty?

        raise PermanentError.new("the context of task #{task.task_id} does not fit #{@class}#schema (#{place(:schema)}):\n  #{problems.join("\n  ")}",
                                 error_code: "CONTEXT_INVALID", context: { problems: problems })
      end
    end
  end
end
