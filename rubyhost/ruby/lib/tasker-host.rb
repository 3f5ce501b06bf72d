# frozen_string_literal: true

# The name of the gem, which Bundler requires.
require "tasker"
