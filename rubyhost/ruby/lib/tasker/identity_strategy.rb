# frozen_string_literal: true

require "json"

module Tasker
  # How a task's identity is made of its options. Every task has another one; a subclass
  # may decide otherwise. tasker-rb itself makes a task once for its identity key, see
  # tasker-rb submit.
  #
  # @example
  #   class ByOrder < Tasker::IdentityStrategy
  #     def generate_identity_hash(task, _options) = "order-#{task.context[:order_id]}"
  #   end
  class IdentityStrategy
    # @param _task [Task]
    # @param _task_options [Hash]
    # @return [String]
    def generate_identity_hash(_task, _task_options) = SecureRandom.uuid
  end

  # The same identity for the same options.
  class HashIdentityStrategy < IdentityStrategy
    # @param _task [Task]
    # @param task_options [Hash]
    # @return [String]
    def generate_identity_hash(_task, task_options)
      Digest::SHA256.hexdigest(task_options.to_json)
    end
  end
end
