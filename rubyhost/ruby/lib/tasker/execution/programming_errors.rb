# frozen_string_literal: true

module Tasker
  module Execution
    # Whether an error says that the code is wrong, and not what it met. The engine decides by
    # orchestration/rubysteps/programming_errors.go, and this is the same rule for what is
    # said about an attempt in Ruby.
    #
    # @api private
    module ProgrammingErrors
      CLASSES = ["NameError", "NotImplementedError", "LoadError", "SyntaxError", "PG::SyntaxErrorOrAccessRuleViolation",
                 "PG::ProtocolViolation", "Tasker::SQLError::ProtocolViolation"].freeze
      WRAPPED = ["ActiveRecord::StatementInvalid", "Sequel::DatabaseError"].freeze
      WRONG_SQL = "42"
      private_constant :CLASSES, :WRAPPED, :WRONG_SQL

      class << self
        # @param report [Hash{String => Object}] of {Execution.describe}
        # @return [Boolean]
        def reported?(report)
          names = [report["class"], *report["ancestors"]]
          return true if (names & CLASSES).any?
          return report["error_code"].to_s.start_with?(WRONG_SQL) if names.include?("Tasker::SQLError")

          cause = report["cause"]
          cause.is_a?(Hash) && (names & WRAPPED).any? && reported?(cause)
        end
      end
    end
  end
end
