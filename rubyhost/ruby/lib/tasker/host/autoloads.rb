# frozen_string_literal: true

module Tasker
  module Host
    # Loads every autoload of ours before a step can name it. In CRuby 3.1 the
    # threads that wait for another thread's autoload form a list on their own
    # stacks. A thread that is interrupted while it waits (by the host, by
    # Timeout) does not take itself off the list, and the interpreter crashes.
    #
    # @api private
    module Autoloads
      # Constants that need a gem which may be missing, or that only tests name.
      # They are named in files, and those are loaded before any step.
      LEFT = %w[Tasker::StepHandler::Api Tasker::Testing].freeze
      private_constant :LEFT

      @lock = Mutex.new

      class << self
        # To be called before code that may be interrupted while other threads
        # run. The first call takes some 45 ms, too long for the boot.
        #
        # @return [nil]
        def resolve
          return if @resolved

          @lock.synchronize do
            LIBRARY.each { |name, feature| RubyVersions.library?(feature) { Object.const_get(name) } if Object.autoload?(name) }
            RubyVersions.resolve_autoloads
            resolve_in(Tasker)
            @resolved = true
          end
          nil
        end

        private

        def resolve_in(namespace)
          namespace.constants(false).each do |name|
            full = "#{namespace}::#{name}"
            next if LEFT.include?(full)

            value = namespace.const_get(name, false)
            resolve_in(value) if value.is_a?(Module) && value.name == full
          end
          nil
        end
      end
    end
  end
end
