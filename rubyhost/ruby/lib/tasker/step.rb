# frozen_string_literal: true

require_relative "step_changes"

module Tasker
  # A step of the task: the step that runs now, or another step of its
  # {Sequence}.
  #
  # A document is parsed when it is first read. A handler's assignments here are
  # seen within its own execution only, with one exception: the running step
  # ends with the {#results} assigned to it.
  class Step
    include StepChanges

    # States in which a step counts as done for the steps that depend on it.
    DONE = %w[complete resolved_manually].freeze
    # States from which a step never begins again.
    CLOSED = (%w[in_progress cancelled] + DONE).freeze
    private_constant :DONE, :CLOSED

    # @api private
    # @param sequence [Sequence]
    # @param name [String, nil] nil for the running step. Its head has a place of
    #   its own, so its name need not be parsed to find it.
    def initialize(sequence, name = nil)
      @sequence = sequence
      @name = name
    end

    # The results of a completed step that the running step depends on, directly
    # or not; an empty Hash for any other step. The running step's own results
    # are empty at first. At its end they become its final results.
    #
    # @return [Object] the other handler's results as read from JSON, with String
    #   keys
    def results
      return @results if defined?(@results)

      @results = @name ? @sequence.stored_results(@name) : {}
    end

    attr_writer :results

    # @return [Integer]
    def workflow_step_id = head["workflow_step_id"]
    alias id workflow_step_id

    # @return [Integer]
    def task_id = head["task_id"]

    # @return [Task]
    def task = @sequence.task

    # @return [String]
    def name = @name || head["name"]

    # @return [String, nil]
    def description = head["description"]

    # @return [String, nil] the system the step talks to, as its template says
    def dependent_system = head["dependent_system"]

    # @return [String] pending, in_progress, waiting_for_retry, complete,
    #   error, cancelled or resolved_manually
    def status = head["status"]

    # @return [Integer] how often it has begun; this includes the attempt that
    #   runs now
    def attempts = head["attempts"] || 0

    # @return [Integer] how many attempts there may be in all
    def retry_limit = head["retry_limit"] || 3

    # @return [Boolean] whether it may be tried again at all
    def retryable = head.fetch("retryable", true)
    alias retryable? retryable

    # @return [Boolean] whether its work is done
    def processed = head.fetch("processed", false)
    alias processed? processed

    # @return [Boolean] whether it is being run
    def in_process = head.fetch("in_process", false)
    alias in_process? in_process

    # @return [Context] a copy of the task's context
    def inputs
      @inputs ||= head["inputs"] ? Context.wrap(head["inputs"]) : task.context_copy
    end

    # @return [Boolean] whether the template calls it skippable; nothing skips it
    def skippable = head.fetch("skippable", false)
    alias skippable? skippable

    # @return [Time, nil]
    def last_attempted_at
      at = head["last_attempted_at"]
      at && Time.iso8601(at)
    end

    # @return [Numeric, nil] the wait that its last failure asked for, seconds
    def backoff_request_seconds = head["backoff_request_seconds"]

    # @return [String, nil] the name of its handler's class
    def handler_class = head["handler_class"]

    # @return [Context, nil] the handler_config of the template; nil unless
    #   this is the step being run
    def handler_config
      @name ? nil : @sequence.handler_config
    end

    # @return [Array<Step>] the steps it depends on directly
    def parents = @sequence.named(head["parents"])

    # @return [Array<Step>] the steps that depend on it directly
    def children = @sequence.named(head["children"])

    # @return [Array<Step>] the other steps that depend on the same steps as this one;
    #   none for a step that depends on nothing
    def siblings
      mine = head["parents"].to_a.sort
      return [] if mine.empty?

      parents.flat_map(&:children).uniq.select { |step| step.name != name && step.parent_names.sort == mine }
    end

    def complete? = DONE.include?(status)
    def in_progress? = status == "in_progress"
    def pending? = status == "pending"
    def in_error? = status == "error"
    def cancelled? = status == "cancelled"
    def resolved_manually? = status == "resolved_manually"
    def waiting_for_retry? = status == "waiting_for_retry"

    # @return [Boolean] whether its state allows it to be begun
    def ready_status? = !CLOSED.include?(status)

    # @return [Boolean] whether all its parents are done
    def dependencies_satisfied? = parents.all?(&:complete?)

    # @return [Boolean] whether it could be begun now
    def ready?
      (pending? || waiting_for_retry?) && dependencies_satisfied? && retry_eligible? && !waiting_for_backoff?
    end

    # @return [Boolean] whether it was begun before
    def has_retry_attempts? = attempts.positive? # rubocop:disable Naming/PredicateName

    # @return [Boolean] whether all its attempts are used up
    def retry_exhausted? = attempts >= retry_limit

    # @return [Boolean] whether it may have another attempt; the first one is
    #   always allowed
    def retry_eligible? = attempts.zero? || (retryable && !retry_exhausted?)

    # @return [Boolean] whether the wait after its last failure is not over
    def waiting_for_backoff?
      seconds = backoff_request_seconds
      since = last_attempted_at
      return false if complete? || seconds.nil? || since.nil?

      since + seconds > Time.now
    end

    # @return [Boolean] whether it failed and could be begun again now
    def can_retry_now?
      (in_error? || waiting_for_retry?) && retry_eligible? && !waiting_for_backoff?
    end

    # @return [Boolean] whether it depends on nothing
    def root_step? = head["parents"].to_a.empty?

    # @return [Boolean] whether nothing depends on it
    def leaf_step? = head["children"].to_a.empty?

    # @return [Hash{Symbol => Object}] what the methods above say
    def to_h
      { workflow_step_id: workflow_step_id, task_id: task_id, name: name, description: description, dependent_system: dependent_system,
        status: status, attempts: attempts, retry_limit: retry_limit, retryable: retryable, skippable: skippable, processed: processed,
        in_process: in_process, backoff_request_seconds: backoff_request_seconds, last_attempted_at: last_attempted_at,
        handler_class: handler_class, inputs: inputs.to_h, results: results, parents: parent_names, children: head["children"].to_a }
    end

    # @api private
    # @return [Array<String>]
    def parent_names = head["parents"].to_a

    def ==(other)
      equal?(other) || (other.is_a?(Step) && other.workflow_step_id == workflow_step_id)
    end
    alias eql? ==

    def hash = workflow_step_id.hash

    def inspect
      "#<#{self.class} #{name} (#{status}, attempt #{attempts} of #{retry_limit})>"
    end
    alias to_s inspect

    private

    def head
      @head ||= @name ? @sequence.head_of(@name) : @sequence.own_head
    end
  end

  # The name that tasker-engine's handlers use.
  WorkflowStep = Step
end
