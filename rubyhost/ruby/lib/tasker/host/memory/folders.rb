# frozen_string_literal: true

module Tasker
  module Host
    module Memory
      # The folders of the handlers.
      class Folders
        # @param folders [Array<String>]
        def initialize(folders)
          @folders = folders.map { |folder| "#{real(folder)}/" }
          @files = {}
        end

        # @param file [String, nil]
        # @return [Boolean]
        def include?(file)
          return false unless ::String === file

          @files.fetch(file) { @files[file] = inside?(file) }
        end

        private

        # Evaluated source and Ruby's own names, <internal:kernel>, are no files.
        def inside?(file)
          ::File.file?(file) && @folders.any? { |folder| real(file).start_with?(folder) }
        end

        def real(path)
          ::File.exist?(path) ? ::File.realpath(path) : ::File.expand_path(path)
        end
      end
    end
  end
end
