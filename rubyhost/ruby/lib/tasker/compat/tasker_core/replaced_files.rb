# frozen_string_literal: true

module TaskerCore
  # Handlers of Tasker Core's own repository require its files by path, as
  # +require_relative "../lib/tasker_core/errors"+. This layer has what such a file
  # defines, so it is not loaded again: it would define other classes of these names,
  # or need the native extension.
  #
  # @api private
  module ReplacedFiles
    # The files of the gem, below its folder lib.
    NAMES = %w[tasker_core tasker_core/errors tasker_core/errors/common tasker_core/errors/error_classifier tasker_core/logger
               tasker_core/tracing tasker_core/types tasker_core/types/step_context tasker_core/types/step_handler_call_result
               tasker_core/models tasker_core/handlers tasker_core/registry tasker_core/domain_events
               tasker_core/domain_events/base_publisher tasker_core/domain_events/base_subscriber
               tasker_core/domain_events/publisher_registry tasker_core/domain_events/subscriber_registry
               tasker_core/worker/in_process_domain_event_poller tasker_core/task_handler/base
               tasker_core/step_handler/base tasker_core/step_handler/api tasker_core/step_handler/decision
               tasker_core/step_handler/batchable tasker_core/step_handler/functional tasker_core/step_handler/mixins].freeze
    PATH = %r{/lib/(?:#{Regexp.union(NAMES).source})(?:\.rb)?\z}
    private_constant :NAMES, :PATH

    # @param path [String] absolute
    # @return [Boolean] whether this layer takes the place of the file
    def self.include?(path)
      return false unless path.match?(PATH) && !path.start_with?(__dir__)

      Tasker.logger.debug { "#{path} is not loaded: tasker/compat/tasker_core takes its place" }
      true
    end

    # Prepended to Object. Ruby's require_relative looks at the frame that calls it, so
    # this one finds the file itself.
    module Require
      def require_relative(name)
        from = caller_locations(1, 1).first
        file = from.absolute_path || from.path
        raise LoadError, "cannot infer basepath" if file.nil? || file.start_with?("(eval")

        path = File.expand_path(name.to_str, File.dirname(File.exist?(file) ? File.realpath(file) : file))
        ReplacedFiles.include?(path) ? false : require(path)
      end
      private :require_relative
    end

    Object.prepend(Require)
  end
end
