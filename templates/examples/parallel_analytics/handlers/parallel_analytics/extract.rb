# frozen_string_literal: true

require "csv"

module ParallelAnalytics
  # What the three extracts have in common: each reads the CSV file that its
  # handler_config names, and keeps the rows and columns it wants.
  class Extract < Tasker::StepHandler::Base
    FOLDER = File.expand_path("../../data", __dir__)

    def process(task, _sequence, _step)
      rows = read.filter_map { |row| record(row, task.context) }
      { records: rows, count: rows.size }
    end

    private

    # @abstract
    # @return [Hash, nil] nil leaves the row out
    def record(_row, _context)
      raise NotImplementedError, "#{self.class} does not say what to keep of a row"
    end

    def read
      CSV.read(File.join(FOLDER, config[:file]), headers: true)
    rescue Errno::ENOENT => e
      raise Tasker::PermanentError.new(e.message, error_code: "NO_SUCH_SOURCE")
    end
  end
end
