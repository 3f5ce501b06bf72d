# frozen_string_literal: true

module Tasker
  module Host
    # Threads that a handler starts work for the handler's step: what they ask
    # of Go, SQL for one, is asked on its behalf, and refused once it is over.
    module Lineage
      MARK = :@__tasker_serial # host_job_serial in cbridge.c reads it
      private_constant :MARK

      # Thread.new calls it in the thread that makes the new one.
      def initialize(*)
        serial = Host.job_serial
        instance_variable_set(MARK, serial) unless serial.zero?
        super
      end

      # Thread.start and Thread.fork call no initialize.
      module Starting
        def start(*args, &block)
          super(*args, &Lineage.inherit(block))
        end

        def fork(*args, &block)
          super(*args, &Lineage.inherit(block))
        end
      end

      class << self
        # @!visibility private
        def install
          Thread.prepend(self)
          Thread.singleton_class.prepend(Starting)
        end

        # @!visibility private
        def inherit(block)
          serial = Host.job_serial
          return block if block.nil? || serial.zero?

          proc do |*args|
            Thread.current.instance_variable_set(MARK, serial)
            block.call(*args)
          end
        end
      end
    end
  end
end
