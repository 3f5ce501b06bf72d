# frozen_string_literal: true

module Tasker
  module Host
    module Survey
      # What {Reader} has found in a file. Owners are names of classes and modules, ""
      # at the top.
      class Facts
        # kind is :class, :module or :constant.
        Definition = Struct.new(:name, :kind, :line)
        # sure is false for a definition that depends on a condition.
        Method = Struct.new(:owner, :name, :line, :sure)
        # path is ["Shop", "Money"]; nesting has the owners around it, the innermost first.
        Constant = Struct.new(:path, :absolute, :nesting, :line)
        # receiver as {Shape} has it; object is :task, :sequence, :step or :context if the
        # receiver is what the host gives.
        Call = Struct.new(:receiver, :name, :arguments, :block, :owner, :nesting, :line, :object)
        # A write to task.context. own says that the key was there before.
        Write = Struct.new(:owner, :key, :line, :own)
        # A key of task.context that is read.
        Read = Struct.new(:owner, :key, :line)

        # @return [String]
        attr_reader :file
        # @return [Array] of the structs above
        attr_reader :definitions, :methods, :constants, :calls, :writes, :reads
        # @return [Hash{String => true}] constants and methods that the file asks for
        #   before it uses them
        attr_reader :guarded

        def initialize(file)
          @file = file
          @definitions = []
          @methods = []
          @constants = []
          @calls = []
          @writes = []
          @reads = []
          @guarded = {}
        end

        # @param line [Integer]
        # @return [String] file:line
        def at(line) = "#{file}:#{line}"
      end
    end
  end
end
