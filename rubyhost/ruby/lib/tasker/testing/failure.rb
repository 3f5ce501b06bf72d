# frozen_string_literal: true

module Tasker
  module Testing
    # The error of an attempt, as the engine has recorded it.
    class Failure
      # @api private
      # @param fields [Hash{String => Object}, nil]
      # @return [Failure, nil]
      def self.from(fields)
        fields && new(fields)
      end

      # @api private
      def initialize(fields)
        @fields = fields
      end

      # @return [String] the name of the exception's class
      def class_name = @fields["class"]

      # @return [String]
      def message = @fields["message"].to_s

      # @return [Array<String>]
      def backtrace = @fields["backtrace"].to_a

      # @return [String, nil]
      def error_code = @fields["error_code"]

      # @return [Context] the facts that the exception had
      def context = Context.wrap(@fields["context"] || {})

      # @return [Boolean] whether the failure was one that a retry may help
      def retryable? = @fields["retryable"] ? true : false

      # @return [Failure, nil]
      def cause = Failure.from(@fields["cause"])

      # @param expected [Class, String] of an exception
      # @return [Boolean] whether it was of this class, or of one below it
      def of?(expected)
        return class_name == expected unless expected.is_a?(Module)
        return true if class_name == expected.name

        klass = Object.const_get(class_name)
        klass.is_a?(Module) && klass <= expected ? true : false
      rescue NameError
        false
      end

      def to_s
        "#{class_name}#{" (#{error_code})" if error_code}: #{message}"
      end

      def inspect
        "#<#{self.class} #{self}>"
      end
    end
  end
end
