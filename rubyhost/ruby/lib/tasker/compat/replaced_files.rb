# frozen_string_literal: true

require "tasker"

module Tasker
  module Compat
    # Handlers of a gem's own repository require its files by path, as
    # +require_relative "../lib/tasker_core/errors"+. A layer has what such a file
    # defines, so it is not loaded again: it would define other classes of these names,
    # or need what is not there.
    #
    # @api private
    module ReplacedFiles
      OURS = File.expand_path("../../", __dir__)
      private_constant :OURS

      @layers = []

      class << self
        # @param layer [String] the feature that takes the place
        # @param names [Array<String>] of the gem's files, below its folder lib
        # @param beside [String, nil] a file of the gem that a folder must have to be
        #   the gem's
        # @return [nil]
        def add(layer, names, beside: nil)
          @layers << [layer, %r{/lib/(?:#{Regexp.union(names).source})(?:\.rb)?\z}, beside]
          Object.prepend(Require)
          nil
        end

        # Lets +require "tasker_core"+ do nothing, as Ruby does for what is built in.
        #
        # @param names [Array<String>]
        # @return [nil]
        def provide(names)
          $LOADED_FEATURES.concat(names.map { |name| "#{name}.rb" } - $LOADED_FEATURES)
          nil
        end

        # @param path [String] absolute
        # @return [Boolean] whether a layer takes the place of the file
        def include?(path)
          return false if path.start_with?(OURS)

          layer, = @layers.find { |_, pattern, beside| path.match?(pattern) && (beside.nil? || File.exist?(path.sub(%r{/lib/.*}m, "/lib/#{beside}"))) }
          Tasker.logger.debug { "#{path} is not loaded: #{layer} takes its place" } if layer
          !layer.nil?
        end
      end

      # Prepended to Object. Ruby's require_relative looks at the frame that calls it, so
      # this one finds the file itself.
      module Require
        def require_relative(name)
          from = caller_locations(1, 1).first
          file = from.absolute_path || from.path
          raise LoadError, "cannot infer basepath" if file.nil? || file.start_with?("(eval")

          path = File.expand_path(name.to_str, File.dirname(File.exist?(file) ? File.realpath(file) : file))
          ReplacedFiles.include?(path) ? false : require(path)
        end
        private :require_relative
      end
    end
  end
end
