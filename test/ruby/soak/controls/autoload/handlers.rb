# frozen_string_literal: true

# Libraries come with their first use: each of the first calls grows, later ones do not.
module Autoload
  CONSTANTS = {
    OptionParser: "optparse", ERB: "erb", Tempfile: "tempfile", TSort: "tsort", Zlib: "zlib", Digest: "digest",
    Psych: "psych", Net: "net/http", StringScanner: "strscan"
  }.freeze
  CONSTANTS.each { |name, feature| Object.autoload(name, feature) }
  FEATURES = %w[open3 shellwords find pp prettyprint time securerandom socket uri ripper].freeze
  FIRST_USES = [*CONSTANTS.keys.map { |name| -> { Object.const_get(name) } }, *FEATURES.map { |name| -> { require name } }]
  @lock = Mutex.new

  class << self
    def next_use
      @lock.synchronize { FIRST_USES.shift&.call }
    end

    def table
      @lock.synchronize { @table ||= Array.new(5000) { |i| "entry #{i} of a table that is made when it is first read" } }
    end
  end

  class Work < Tasker::StepHandler::Base
    def process(task, _sequence, _step)
      Autoload.next_use
      { entry: Autoload.table[task.task_id % 5000] }
    end
  end
end
