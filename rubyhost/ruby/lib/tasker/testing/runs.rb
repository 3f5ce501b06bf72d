# frozen_string_literal: true

require_relative "example"

module Tasker
  module Testing
    # Turns the arguments of {API#run_task} and {API#run_step} into requests.
    #
    # @api private
    module Runs
      class << self
        # @param more [Hash] serial and crash, for {ExactlyOnce}
        # @return [Task]
        def task(template, context:, env: "test", version: nil, stubs: {}, workers: 1, run_at: nil, **more)
          raise ArgumentError, "workers: has to be 1 or 2, not #{workers.inspect}" unless [1, 2].include?(workers)

          example = Example.current!
          procs, values = stubs.transform_keys(&:to_s).partition { |_, stub| stub.respond_to?(:call) }.map(&:to_h)
          example.stubs = procs
          task = example.run(:run_task, template: template.to_s, version: version, env: env, context: context, stubs: values,
                                        workers: workers, run_at: run_at && Clock.micro(time(run_at)), **more)
          refuse_unknown(procs.keys, task)
          task
        ensure
          example.stubs = {} if example
        end

        # @return [Step]
        def step(handler, template:, context:, results:, config:, attempt:)
          whose = whose(handler, template)
          task = Example.current!.run(:run_step, **whose, context: context, results: results.transform_keys(&:to_s),
                                                          config: config, attempt: attempt)
          task.step(whose[:step] || "step_under_test")
        end

        private

        def whose(handler, template)
          return { handler_class: class_name(handler) } if handler.is_a?(Class)

          { step: handler.to_s, template: template&.to_s }.compact
        end

        def class_name(handler)
          handler.name || raise(ArgumentError, "run_step needs a class with a name, because the engine finds it by its name")
        end

        def time(value)
          value.is_a?(Time) ? value : value.to_time
        end

        def refuse_unknown(names, task)
          unknown = names.find { |name| !task.step?(name) } or return

          raise Error, "there is a stub of #{unknown}, but the task #{task.name} has no such step#{Near.hint(unknown, task.steps.map(&:name))}"
        end
      end
    end
  end
end
