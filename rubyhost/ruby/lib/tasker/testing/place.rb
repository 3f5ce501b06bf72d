# frozen_string_literal: true

require "rbconfig"

module Tasker
  module Testing
    # Tells the user's own lines from those of libraries.
    #
    # @api private
    module Place
      LIBRARY = File.expand_path("../..", __dir__)
      NOBODYS = ["<internal:", "(eval"].freeze
      private_constant :LIBRARY, :NOBODYS

      class << self
        # @return [String] file:line of the user's nearest code that has called this; of
        #   a handlers folder, if there is any
        def current
          frames = caller_locations(2).reject { |frame| library?(frame.absolute_path || frame.path) }
          frame = frames.find { |at| handlers?(at.absolute_path || at.path) } || frames.first
          frame ? "#{short(frame.path)}:#{frame.lineno}" : "an unknown place"
        end

        # @param line [String] of a backtrace
        # @return [Boolean] whether it is in the user's own code
        def own?(line)
          !library?(File.expand_path(line[/\A(.*?):\d+/, 1] || line))
        end

        # @param path [String]
        # @return [String] as seen from the working folder
        def short(path)
          path.delete_prefix("#{Dir.pwd}/")
        end

        private

        def library?(path)
          path.nil? || path.start_with?(*NOBODYS) || (libraries.any? { |folder| path.start_with?(folder) } && !handlers?(path))
        end

        def handlers?(path)
          folders = Tasker.const_defined?(:Host) ? Host.loader.folders : []
          folders.any? { |folder| path.start_with?("#{folder}/") }
        end

        def libraries
          @libraries ||= [LIBRARY, *RbConfig::CONFIG.values_at("rubylibprefix", "rubylibdir"), *(defined?(::Gem) ? ::Gem.path : []), *debian]
                         .map { |folder| "#{folder}/" }.uniq
        end

        # Where Debian keeps its packages of gems.
        def debian
          %w[/usr/lib/ruby /usr/share/rubygems-integration /var/lib/gems]
        end
      end
    end
  end
end
