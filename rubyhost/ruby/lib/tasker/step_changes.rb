# frozen_string_literal: true

module Tasker
  # What a task handler may set on a {Step}, and what it reads of steps that it has seen
  # handled. Rows of steps belong to the engine: what is set holds for the attempt that
  # runs, and the hook is asked again before the next one.
  module StepChanges
    # @param inputs [Hash, nil] for this attempt
    def inputs=(inputs)
      @inputs = Context.wrap(inputs || {})
    end

    # In establish_step_dependencies_and_defaults: no further attempt follows the attempt
    # with this number. The template's limit is the highest.
    #
    # @param limit [Integer]
    def retry_limit=(limit)
      change("retry_limit=")
      @limit_set = Integer(limit)
    end

    # In establish_step_dependencies_and_defaults: whether another attempt may follow
    # this one. The template's word is needed too.
    #
    # @param retryable [Boolean]
    def retryable=(retryable)
      change("retryable=")
      @no_retry = !retryable
    end

    # Sets some attributes at once.
    #
    # @param attributes [Hash] of inputs, results, retry_limit, retryable
    # @return [true]
    def update(attributes)
      attributes.each_pair do |name, value|
        unless respond_to?(:"#{name}=")
          raise ConfigurationError, "a task handler cannot set #{name} of the step #{self.name}; it may set inputs, results, " \
                                    "retry_limit and retryable; write all else into the template"
        end

        public_send(:"#{name}=", value)
      end
      true
    end
    alias update! update

    # @return [Time, nil] all steps of a task are made with it
    def created_at = task.created_at

    # @return [Time, nil] when its handler returned, in the hook update_annotations; else
    #   when it last began
    def updated_at = processed_at || last_attempted_at || created_at

    # @return [Time, nil] when its handler returned, in the hook update_annotations
    def processed_at = @processed_at

    # Says that its handler has returned. What follows commits with it, or not at all.
    #
    # @api private
    # @return [nil]
    def handled
      @processed_at = Time.now
      head.update("status" => "complete", "processed" => true, "in_process" => false)
      nil
    end

    # @api private
    # @return [Integer, nil] what a task handler has set
    attr_reader :limit_set

    # @api private
    # @return [Boolean] whether a task handler wants no attempt after this one
    def last_by_hook?
      @no_retry || (@limit_set ? attempts >= @limit_set : false)
    end

    private

    def change(setter)
      return if @sequence.changeable

      raise ConfigurationError, "step.#{setter} is for the hook establish_step_dependencies_and_defaults of a task handler; " \
                                "a handler that wants no further attempt raises Tasker::PermanentError"
    end
  end
end
