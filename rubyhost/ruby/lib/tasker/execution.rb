# frozen_string_literal: true

require "tasker"
require_relative "execution/construction"
require_relative "execution/entry"
require_relative "execution/finder"
require_relative "execution/error_report"
require_relative "execution/programming_errors"

module Tasker
  # The host runs steps through this module. Handlers do not need it, and tests
  # of handlers use {Testing}.
  #
  # @api private
  module Execution
    class << self
      # Runs one step: a new instance of the class, +process+, then
      # +process_results+.
      #
      # @param handler_class [Class] a class that {.check} accepts
      # @param segments [Array<String>] see {Sequence#initialize}
      # @param method [String, nil] the method to call instead of +process+; without it
      #   the step's head may name one
      # @param hooks [TaskHandler::Hooks, nil] of the template's task handler
      # @return [Object] the step's final results
      def run(handler_class, segments, method = nil, hooks = nil)
        return within(hooks, handler_class, segments, method) if hooks

        sequence = Sequence.new(segments)
        step = sequence.current_step
        entry = Entry.of(handler_class, method || sequence.handler_method)
        handler = Construction.build(handler_class, sequence)
        if entry == Entry::STANDARD
          handler.handle(sequence.task, sequence, step)
        else
          by_entry(entry, handler, sequence.task, sequence, step)
        end
        Entry.layer&.succeeded(sequence)
        MissedStep.warn_of_unread(sequence) if sequence.unread
        step.results
      rescue StandardError, ScriptError => e
        failed(sequence, e) if sequence
        raise
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
      # @param method [String, nil] the method that is to be called instead of +process+
      # @return [Class] the same
      # @raise [HandlerError] when it cannot handle steps
      def check(handler_class, method = nil)
        unless handler_class.is_a?(Class)
          raise HandlerError, "#{handler_class.inspect} is #{Article.of(handler_class.class)}, not a class with a method process"
        end

        Entry.forget # the class may have been reopened
        Entry.of(handler_class, method)
        Construction.check(handler_class)
        Events.register_handler(handler_class)
        handler_class
      end

      # Forgets how handler classes are made. Call it after loading files, because
      # they may have reopened the classes.
      #
      # @return [nil]
      def forget
        Entry.forget
        Construction.forget
        TaskHandler.forget unless Tasker.autoload?(:TaskHandler)
      end

      private

      # Says more of an error that follows from a step that is not there, and lets the layer
      # publish the failure.
      def failed(sequence, error)
        case error
        when NoMethodError, KeyError, TypeError then MissedStep.note(error, sequence)
        end
        MissedStep.warn_of_unread(sequence) if sequence.unread && !MissedStep.noted(error)
        Entry.layer&.failed(sequence, error)
      end

      # The same as run, with the task handler's hooks around the handler.
      def within(hooks, handler_class, segments, method)
        sequence = Sequence.new(segments)
        step = sequence.current_step
        hooks.around(sequence) do
          entry = Entry.of(handler_class, method || sequence.handler_method)
          handler = Construction.build(handler_class, sequence)
          if entry == Entry::STANDARD
            handler.handle(sequence.task, sequence, step)
          else
            by_entry(entry, handler, sequence.task, sequence, step)
          end
        end
        Entry.layer&.succeeded(sequence)
        MissedStep.warn_of_unread(sequence) if sequence.unread
        step.results
      rescue StandardError, ScriptError => e
        failed(sequence, e) if sequence
raise
      end

      def by_entry(entry, handler, task, sequence, step)
        return Events.around(step) { work(entry, handler, task, sequence, step) } if Events.listened_to?

        work(entry, handler, task, sequence, step)
      end

      def work(entry, handler, task, sequence, step)
        initial_results = step.results
        output = entry.call(handler, task, sequence, step)
        if handler.respond_to?(:process_results, true)
          handler.__send__(:process_results, step, output, initial_results)
        elsif step.results == initial_results
          step.results = output
        end
      end
    end
  end
end
