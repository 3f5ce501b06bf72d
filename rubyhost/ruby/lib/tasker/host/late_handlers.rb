# frozen_string_literal: true

module Tasker
  module Host
    # Loads the handlers of a test suite when a constant of theirs is first named, and
    # before the first example at the latest. A suite that measures its coverage starts
    # to measure in its helper; files that were loaded before that would count nothing.
    module LateHandlers
      # Prepended to Module.
      module Missing
        def const_missing(name)
          LateHandlers.concerns?(name) && LateHandlers.load ? LateHandlers.find(self, name) { super } : super
        end
      end

      @names = {}

      class << self
        # @param dirs [Array<String>] the folders of the handlers
        # @return [nil]
        def postpone(dirs)
          files = Host.loader.postpone(*dirs)
          @names = files.flat_map { |file| File.read(file, encoding: "UTF-8").scrub.scan(/\b[[:upper:]][[:word:]]*/) }.to_h { |name| [name, true] }
          Module.prepend(Missing)
          nil
        end

        # Gems probe for constants that nobody defines, and that must load nothing.
        #
        # @return [Boolean] whether a handler's file mentions the constant
        def concerns?(name)
          @names.key?(name.to_s)
        end

        # @return [Boolean] whether they were loaded now
        def load
          return false unless Host.loader.load_postponed

          Missing.remove_method(:const_missing) # it would be in the backtrace of each later NameError
          true
        end

        # Ruby does not say from which module around it a constant was named.
        #
        # @param scope [Module] where it was missing
        # @yield when it is in none
        def find(scope, name)
          parts = scope.equal?(Object) ? [] : Module.instance_method(:name).bind_call(scope).to_s.split("::")
          parts.size.downto(0) do |size|
            around = parts.first(size).reduce(Object) { |at, part| at.const_get(part, false) }
            return around.const_get(name, false) if around.const_defined?(name, false)
          end
          yield
        end
      end
    end
  end
end
