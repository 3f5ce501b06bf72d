# frozen_string_literal: true

module Tasker
  module Host
    module Console
      # Loads handler files again when they have changed.
      module Reload
        class << self
          # Takes what is loaded now for what the files say.
          #
          # @return [nil]
          def remember
            @loaded = states
            nil
          end

          # @yieldparam line [String] what to tell a person
          # @return [Boolean] whether all could be loaded
          def run
            now = states
            changed = now.keys.reject { |file| @loaded[file] == now[file] }
            gone = @loaded.keys - now.keys
            yield "no handler file has changed" if changed.empty? && gone.empty?
            gone.each do |file|
              @loaded.delete(file)
              yield "gone: #{file}; what it has defined stays until the console ends"
            end
            failed = Host.loader.reload(changed)
            changed.each do |file|
              @loaded[file] = now[file] unless failed.key?(file)
              yield failed.key?(file) ? "cannot be loaded: #{failed[file]}" : "loaded #{file}"
            end
            failed.empty?
          end

          private

          # @return [Hash{String => Array}] by file; one that is gone meanwhile is left out
          def states
            files = Host.loader.folders.flat_map { |dir| Dir.glob("**/*.rb", base: dir).sort.map { |file| File.join(dir, file) } }
            files.to_h { |file| [file, state(file)] }.compact
          end

          def state(file)
            stat = File.stat(file)
            [stat.mtime, stat.size]
          rescue SystemCallError
            nil
          end
        end
      end
    end
  end
end
