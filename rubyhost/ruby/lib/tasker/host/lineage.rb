# frozen_string_literal: true

module Tasker
  module Host
    # Threads that a handler starts work for the handler's step: what they ask
    # of Go, SQL for one, is asked on its behalf, and refused once it is over.
    module Lineage
      MARK = :@__tasker_serial # host_job_serial in request.c reads it
      MAIN_RACTOR = Ractor.current
      private_constant :MARK, :MAIN_RACTOR

      # Thread.new calls it in the thread that makes the new one.
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
        # A Ractor does not share the lock that the bridge's list of workers
        # is under; it cannot ask Go for anything either.
        def serial
          main_ractor? ? Host.job_serial : 0
        end

        # @!visibility private
        def main_ractor?
          Ractor.current.equal?(MAIN_RACTOR)
        end

        # Newer versions of timeout have one thread for everybody.
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
