# frozen_string_literal: true

# One worker, with the defaults of the command delayed_job but one: it stops when no job
# is left.
require_relative "delayed_job_steps"

ActiveRecord::Base.connection
Delayed::Worker.logger = Logger.new($stdout)
Delayed::Worker.exit_on_complete = true
say "working"
Delayed::Worker.new.start
say "done"
trap("TERM") { exit }
sleep # until SIGTERM: the times of processes and connections that have ended are hard to read
