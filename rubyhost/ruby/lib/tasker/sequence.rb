# frozen_string_literal: true

module Tasker
  # The steps of a task, as the running step sees them. Enumerable: each step
  # comes after the steps that it depends on.
  #
  # The running step can read the results of the steps that it depends on,
  # directly or not. Reading one result parses no other.
  class Sequence
    include Enumerable

    HANDLER_METHOD = '"handler_method":'
    PUBLISHED = '"publishes_events":'
    private_constant :HANDLER_METHOD, :PUBLISHED

    # @return [Task]
    attr_reader :task

    # @return [Step] the step that runs now
    attr_reader :current_step

    # @api private
    # @param segments [Array<String>, Segments] JSON documents: the task's head, its
    #   context, the head of the step being run, its handler_config, the heads
    #   of all steps, and whether others can be asked for (not JSON); then, for
    #   each step whose results it may read, the name (not JSON) and the results
    def initialize(segments)
      segments = Segments.new(segments) if segments.is_a?(Array)
      @segments = segments
      @task = Task.new(segments, self)
      @current_step = Step.new(self)
    end

    # @return [Array<Step>]
    def steps
      @steps ||= heads.each_key.map { |name| find_step_by_name(name) }.freeze
    end

    # @param name [String, Symbol, nil]
    # @return [Step, nil] the same object each time
    def find_step_by_name(name)
      return nil if name.nil?

      name = name.to_s
      @found ||= {}
      @found[name] ||= look_up(name)
    end

    # @param name_or_index [String, Symbol, Integer]
    # @return [Step, nil]
    def [](name_or_index)
      name_or_index.is_a?(Integer) ? steps[name_or_index] : find_step_by_name(name_or_index)
    end

    # @param name [String, Symbol]
    # @return [Object, nil] the step's results; nil when there is no such step
    def get_results(name)
      find_step_by_name(name)&.results
    end

    # @yieldparam step [Step]
    def each(&block)
      return steps.each unless block

      steps.each(&block)
      self
    end

    # @return [Integer]
    def size = heads.size
    alias length size

    # @return [Boolean]
    def empty? = heads.empty?

    # @return [Hash] the steps, under +:steps+; with a block, like
    #   Enumerable#to_h
    def to_h(&block)
      block ? super : { steps: steps }
    end

    def inspect
      "#<#{self.class} #{heads.keys.join(", ")}>"
    end
    alias to_s inspect

    # @api private
    def named(names)
      names.to_a.filter_map { |name| find_step_by_name(name) }
    end

    # @api private
    def stored_results(name)
      results_of(name) do
        (@unread ||= {})[name] = true
        {}
      end
    end

    # The names that were asked for in vain, and of the steps whose results were: for
    # what {MissedStep} says of an error that follows.
    #
    # @api private
    # @return [Hash{String => true}, nil]
    attr_reader :missed, :unread

    # @api private
    # @yield when there are no results that the running step may read
    # @return [Object] the step's results, parsed anew; or what the block returns
    def results_of(name)
      place = @segments.results_index(name)
      return @segments.read(place) if place

      text = ask("results", name)
      return yield unless text

      Document.parse(text).tap { text.clear } # it may be large, and the next GC far away
    end

    # The method that the template names for the running step's handler. Few do, so
    # the head is not parsed for those that do not.
    #
    # @api private
    # @return [String, nil]
    def handler_method
      own_head["handler_method"] if @segments.mentions?(2, HANDLER_METHOD)
    end

    # The events that are published when the attempt has ended, as the template has them.
    #
    # @api private
    # @return [Array<Hash{String => String}>, nil]
    def published_events
      own_head["publishes_events"] if @segments.mentions?(2, PUBLISHED)
    end

    # Whether the template wants a retry after an error in the code. Only a step that publishes
    # events is told.
    #
    # @api private
    # @return [Boolean]
    def retries_programming_errors? = own_head["retry_programming_errors"] == true

    # @api private
    # @return [Boolean, nil] whether a task handler may change what the steps say
    attr_accessor :changeable

    # @api private
    def own_head
      @own_head ||= @segments.read(2) || {}
    end

    # @api private
    def head_of(name)
      find_head(name) || {}
    end

    # @api private
    # @return [Boolean] whether the step has a handler_config that is not empty
    def handler_config?
      !@segments.blank?(3)
    end

    # @api private
    # @return [Context]
    def handler_config
      @handler_config ||= @segments.read_indifferent(3) || Context.new
    end

    private

    def look_up(name)
      return Step.new(self, -name) if @segments.results_index(name)
      return @current_step if name == @current_step.name

      return Step.new(self, -name) if find_head(name)

      (@missed ||= {})[name] = true
      nil
    end

    # The head of one step. A large task's heads are asked for, and one is small.
    def find_head(name)
      return heads[name] if @heads || !@segments.blank?(4)

      @asked ||= {}
      @asked.fetch(name) { @asked[name] = Document.parse(ask("head", name)) }
    end

    # A name may be in any encoding. Then it is not a step's.
    def ask(kind, name)
      @segments.ask("#{kind} ".b << name.b)
    end

    # The heads by name, in the order of the steps.
    def heads
      @heads ||= all_heads.to_a.to_h { |head| [head["name"], head] }
    end

    def all_heads
      @segments.blank?(4) ? Document.parse(@segments.ask("heads")) : @segments.read(4)
    end
  end

  # The names that tasker-engine's handlers use.
  module Types
    StepSequence = Sequence
  end
end
