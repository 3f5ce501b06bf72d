# frozen_string_literal: true

module Tasker
  module Host
    # Threads that a handler starts belong to the handler's step. Go answers
    # their questions (SQL, for instance) in the step's name, and refuses them
    # once the step has ended.
    module Lineage
      MARK = :@__tasker_serial # host_job_serial in request.c reads it
      MAIN_RACTOR = Ractor.current
      private_constant :MARK, :MAIN_RACTOR

      # Thread.new calls this in the thread that starts the new one.
      def initialize(*, **, &block)
        serial = Lineage.shared?(block) ? 0 : Lineage.serial
        instance_variable_set(MARK, serial) unless serial.zero?
        super
      end

      # Thread.start and Thread.fork call no initialize.
      module Starting
        def start(*args, **options, &block)
          super(*args, **options, &Lineage.inherit(block))
        end

        def fork(*args, **options, &block)
          super(*args, **options, &Lineage.inherit(block))
        end
      end

      class << self
        # @!visibility private
        def install
          Thread.prepend(self)
          Thread.singleton_class.prepend(Starting)
        end

        # @!visibility private
        # Of the step that this thread works for: 0 in another Ractor, which
        # cannot ask Go for anything.
        def serial
          Host.job_serial
        end

        # @!visibility private
        def main_ractor?
          Ractor.current.equal?(MAIN_RACTOR)
        end

        # Newer versions of timeout share one thread between all callers.
        #
        # @!visibility private
        def shared?(block)
          block && block.source_location&.first.to_s.end_with?("/timeout.rb")
        end

        # @!visibility private
        def inherit(block)
          serial = Lineage.serial
          return block if block.nil? || serial.zero? || shared?(block)

          proc do |*args, **options|
            Thread.current.instance_variable_set(MARK, serial)
            block.call(*args, **options)
          end
        end
      end
    end
  end
end
