# frozen_string_literal: true

module Tasker
  # Explains an error that follows from a step that the handler did not find, or from
  # results that it may not read: the nil or the empty Hash fails only later. When no error
  # follows, a warning is in the step's log.
  #
  # @api private
  module MissedStep
    NOTE = :@tasker_missed_step
    # How many steps are named.
    SHOWN = 10
    # A handler that asked for the results of more steps has gone through all of them.
    READ_BY_NAME = 3
    SET = ::Kernel.instance_method(:instance_variable_set)
    GET = ::Kernel.instance_method(:instance_variable_get)
    CLASS_OF = ::Kernel.instance_method(:class)
    private_constant :CLASS_OF, :NOTE, :SHOWN, :READ_BY_NAME, :SET, :GET

    class << self
      # Leaves the explanation with the error, while the steps can be read.
      #
      # @param error [NoMethodError, KeyError, TypeError]
      # @param sequence [Sequence] of the handler that raised it
      # @return [nil]
      def note(error, sequence)
        return unless follows?(error)

        said = [absent(sequence), unread(sequence)].compact
        SET.bind_call(error, NOTE, said.join("; ")) unless said.empty?
        nil
      rescue StandardError
        nil # the error itself must not be lost
      end

      # @param error [Exception]
      # @return [String, nil]
      def noted(error) = GET.bind_call(error, NOTE)

      # Warns of the results that the handler read in vain. The step has not waited for them.
      #
      # @param sequence [Sequence] whose +unread+ is not nil
      # @return [nil]
      def warn_of_unread(sequence)
        names = sequence.unread.keys
        return if names.size > READ_BY_NAME

        own = sequence.current_step.name
        (names - ancestors(sequence, own)).each do |name|
          said = "step #{own.inspect} reads the results of #{name.inspect}, which"
          if ancestors(sequence, name).include?(own)
            Tasker.logger.warn("#{said} depends on it; they are not there yet")
          else
            Tasker.logger.warn("#{said} it does not depend on; they may not be there yet: add #{name.inspect} to depends_on_steps")
          end
        end
        nil
      rescue StandardError
        nil # the step itself must not fail
      end

      private

      # The names of the steps that a step depends on, directly or not.
      def ancestors(sequence, name)
        found = {}
        waiting = [name]
        while (at = waiting.pop)
          sequence.head_of(at)["parents"].to_a.each { |parent| found[parent] ||= waiting.push(parent) }
        end
        found.keys
      end

      # Whether the error is of nil, or of a Hash without keys. Only Ruby's own classes are
      # asked: the methods of others may do anything.
      def follows?(error)
        kind = CLASS_OF.bind_call(error)
        if kind.equal?(NoMethodError) then NilClass === error.receiver # rubocop:disable Style/CaseEquality
        elsif kind.equal?(KeyError) then Hash === error.receiver && error.receiver.empty? # rubocop:disable Style/CaseEquality
        elsif kind.equal?(TypeError) then error.message.match?(/\bnil\b/) # 1 + nil
        end
      end

      def absent(sequence)
        name = sequence.missed&.keys&.last
        return unless name

        names = sequence.map(&:name)
        near = nearest(name, names)
        more = names.size > SHOWN ? " and #{names.size - SHOWN} more" : ""
        "there is no step #{name.inspect}#{"; did you mean #{near.inspect}?" if near}#{";" unless near} the steps are #{names.first(SHOWN).join(", ")}#{more}"
      end

      def unread(sequence)
        names = sequence.unread&.keys
        return if names.nil? || names.size > READ_BY_NAME

        name = names.last
        own = sequence.current_step.name
        "step #{own} does not depend on step #{name}, so its results are {} here; add #{name} to the depends_on_steps of #{own}"
      end

      def nearest(name, names)
        require "did_you_mean" unless defined?(DidYouMean::SpellChecker)
        DidYouMean::SpellChecker.new(dictionary: names).correct(name).first
      rescue LoadError
        nil
      end
    end
  end
end
