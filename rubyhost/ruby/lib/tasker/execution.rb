# frozen_string_literal: true

require "tasker"
require_relative "execution/construction"
require_relative "execution/error_report"

module Tasker
  # The host runs steps through this module. Handlers do not need it, and tests
  # of handlers use {Testing}.
  module Execution
    class << self
      # Runs one step: a new instance of the class, +process+, then
      # +process_results+.
      #
      # @param handler_class [Class] a class that {.check} accepts
      # @param segments [Array<String>] see {Sequence#initialize}
      # @return [Object] the step's final results
      def run(handler_class, segments)
        sequence = Sequence.new(segments)
        step = sequence.current_step
        handler = Construction.build(handler_class, sequence)
        if handler.is_a?(StepHandler::Base)
          handler.handle(sequence.task, sequence, step)
        else
          handle_plain(handler, sequence.task, sequence, step)
        end
        step.results
      end

      # Describes an exception for the record of the attempt.
      #
      # @param exception [Exception]
      # @return [Hash{String => Object}] of values that JSON and PostgreSQL can
      #   hold: class, ancestors, message, backtrace, cause, retry_after,
      #   error_code, context, permanent. Never raises.
      def describe(exception)
        ErrorReport.new.of(exception)
      end

      # @param handler_class [Object]
      # @return [Class] the same
      # @raise [HandlerError] when it cannot handle steps
      def check(handler_class)
        unless handler_class.is_a?(Class)
          raise HandlerError, "#{handler_class.inspect} is a #{handler_class.class}, not a class with a method process"
        end

        check_process(handler_class)
        Construction.check(handler_class)
        Events.register_handler(handler_class)
        handler_class
      end

      # Forgets how handler classes are made. Call it after loading files, because
      # they may have reopened the classes.
      #
      # @return [nil]
      def forget
        Construction.forget
      end

      private

      def handle_plain(handler, task, sequence, step)
        return Events.around(step) { work(handler, task, sequence, step) } if Events.listened_to?

        work(handler, task, sequence, step)
      end

      def work(handler, task, sequence, step)
        initial_results = step.results
        output = output_of(handler, task, sequence, step)
        if handler.respond_to?(:process_results, true)
          handler.__send__(:process_results, step, output, initial_results)
        elsif step.results == initial_results
          step.results = output
        end
      end

      def output_of(handler, task, sequence, step)
        handler.process(task, sequence, step)
      end

      def check_process(handler_class)
        unless handler_class.public_method_defined?(:process)
          raise HandlerError, "#{handler_class}#{place_of(handler_class)} has no public method " \
                              "process(task, sequence, step)#{process_hint(handler_class)}"
        end

        process = handler_class.instance_method(:process)
        if process.owner == StepHandler::Base
          raise HandlerError, "#{handler_class}#{place_of(handler_class)} does not say what " \
                              "process(task, sequence, step) does#{process_hint(handler_class)}"
        end
        return if takes_three?(process)

        place = process.source_location&.join(":")
        raise HandlerError, "#{handler_class}#process has to take 3 arguments, task, sequence and step" \
                            "#{", not #{process.arity}" if process.arity >= 0}#{" (#{place})" if place}"
      end

      def takes_three?(method)
        kinds = method.parameters.map(&:first)
        required = kinds.count(:req)
        return false if required > 3 || kinds.include?(:keyreq)

        kinds.include?(:rest) || required + kinds.count(:opt) >= 3
      end

      def process_hint(handler_class)
        if handler_class.private_method_defined?(:process) || handler_class.protected_method_defined?(:process)
          "; the one it has is not public"
        elsif handler_class.public_method_defined?(:call)
          '; for classes with call(task, sequence, step) there is require "tasker/compat/tasker_core"'
        elsif handler_class.singleton_methods(false).include?(:process)
          "; the one it has is of the class itself, self.process"
        elsif (near = near_process(handler_class))
          "; did you mean #{near} to be it?"
        end
      end

      def near_process(handler_class)
        require "did_you_mean" unless defined?(DidYouMean::Levenshtein)
        handler_class.public_instance_methods(false).find { |name| DidYouMean::Levenshtein.distance(name.to_s, "process") <= 2 }
      rescue LoadError
        nil
      end

      def place_of(handler_class)
        place = handler_class.name && Object.const_source_location(handler_class.name)
        " (#{place.join(":")})" if place && !place.empty?
      end
    end
  end
end
