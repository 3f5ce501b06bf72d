# frozen_string_literal: true

# The host requires this before anything else, gems included, if there is a Gemfile. An
# error of Bundler's is kept: raised here, it would only be printed, with its backtrace.
begin
  require "bundler"
  Bundler.auto_install if Bundler.respond_to?(:auto_install)
  Bundler.ui.silence { Bundler.setup }
  require "bundler/setup"
rescue StandardError, ScriptError, SystemExit => e
  module Tasker
    # The host's own code.
    module Host
    end
  end
  Tasker::Host.const_set(:GEMFILE_ERROR, e)
end
