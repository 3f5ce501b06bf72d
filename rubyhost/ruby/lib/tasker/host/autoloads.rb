# frozen_string_literal: true

module Tasker
  module Host
    # Nothing of ours is left to be loaded when a step first names it. In CRuby
    # 3.1 the threads that wait for another one's autoload are listed on their
    # own stacks; one that is interrupted meanwhile (by the host, by Timeout)
    # leaves without taking itself off the list, and the interpreter crashes.
    #
    # @api private
    module Autoloads
      # What wants a gem that may not be there, or that only tests name. Who
      # names these does so in files, which are loaded before any step.
      LEFT = %w[Tasker::StepHandler::Api Tasker::Testing].freeze
      # What parts of Ruby's library leave to be loaded, for others than themselves.
      OF_THE_LIBRARY = %i[IPAddr IPSocket].freeze
      private_constant :LEFT, :OF_THE_LIBRARY

      @lock = Mutex.new

      class << self
        # To be called before anything that may be interrupted beside others; the
        # first call takes some 40 ms, which a boot should not.
        #
        # @return [nil]
        def resolve
          return if @resolved

          @lock.synchronize do
            LIBRARY.each_key { |name| Object.const_get(name) }
            OF_THE_LIBRARY.each { |name| Object.const_get(name) if Object.autoload?(name) }
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
