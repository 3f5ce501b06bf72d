# frozen_string_literal: true

# Where Sequel looks for `Sequel.connect(adapter: "tasker")` and tasker:/// URLs.
require "tasker/sequel"
