# frozen_string_literal: true

require "tasker"
require "tasker/execution"

# For handlers written for Tasker Core: require "tasker/compat/tasker_core". The names,
# arguments and defaults are those of its Ruby gem, version 0.1.10. Handlers for the
# early gem, whose +call+ takes the task, the sequence and the step, run too.
#
# What needs steps that are made at run time (decision points, batches, checkpoints)
# can be loaded, and is refused when a template uses it.
#
# It loads ActiveSupport when that is installed, as the gem does.
module TaskerCore
  # The version of Tasker Core's gem that this layer follows.
  VERSION = "0.1.10"
end

require_relative "rails_gems"
Tasker::Compat::RailsGems.load("active_support/all")

require_relative "tasker_core/errors"
require_relative "tasker_core/logger"
require_relative "tasker_core/results"
require_relative "tasker_core/models"
require_relative "tasker_core/step_context"
require_relative "tasker_core/base"
require_relative "tasker_core/absent"
require_relative "tasker_core/domain_events"
require_relative "tasker_core/api"
require_relative "tasker_core/api_upload"
require_relative "tasker_core/api_pages"
require_relative "tasker_core/functional"
require_relative "tasker_core/registry"
require_relative "tasker_core/layer"
require_relative "replaced_files"

# What handlers require of the gem.
replaced = %w[tasker_core tasker_core/errors tasker_core/errors/common tasker_core/errors/error_classifier tasker_core/logger
              tasker_core/tracing tasker_core/types tasker_core/types/step_context tasker_core/types/step_handler_call_result
              tasker_core/models tasker_core/handlers tasker_core/registry tasker_core/domain_events
              tasker_core/domain_events/base_publisher tasker_core/domain_events/base_subscriber
              tasker_core/domain_events/publisher_registry tasker_core/domain_events/subscriber_registry
              tasker_core/worker/in_process_domain_event_poller tasker_core/task_handler/base
              tasker_core/step_handler tasker_core/step_handler/base tasker_core/step_handler/api tasker_core/step_handler/decision
              tasker_core/step_handler/batchable tasker_core/step_handler/functional tasker_core/step_handler/mixins]
Tasker::Compat::ReplacedFiles.add("tasker/compat/tasker_core", replaced)
Tasker::Compat::ReplacedFiles.provide(replaced)
