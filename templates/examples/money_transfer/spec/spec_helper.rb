# frozen_string_literal: true

require "tasker/testing"
require_relative "../schema" # what the database holds now, every example begins with
