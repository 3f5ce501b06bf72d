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
require_relative "tasker_core/api"
require_relative "tasker_core/api_upload"
require_relative "tasker_core/api_pages"
require_relative "tasker_core/functional"
require_relative "tasker_core/registry"
require_relative "tasker_core/layer"
require_relative "tasker_core/replaced_files"
