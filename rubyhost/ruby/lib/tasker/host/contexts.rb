# frozen_string_literal: true

module Tasker
  module Host
    # Makes the contexts of tasks with a block of the user's, for `tasker-rb soak`.
    #
    # @!visibility private
    module Contexts
      module_function

      # @param file [String] a Ruby file whose value is a block
      def open(file)
        @block = TOPLEVEL_BINDING.dup.eval(File.read(file), file)
        return true if @block.respond_to?(:call)

        raise ArgumentError, "the value of #{file} is not a block, but #{@block.class}"
      end

      # @param first [Integer] the number of the first task
      # @param templates [Array<String>] of the tasks, "namespace/name"
      # @return [Array<Hash>] the contexts
      def take(first, templates)
        @arguments ||= arguments
        templates.each_with_index.map { |template, i| @block.call(*[first + i, template].first(@arguments)) }
      end

      # How many arguments the block takes: the number, and perhaps the template.
      def arguments
        arity = @block.respond_to?(:arity) ? @block.arity : @block.method(:call).arity
        arity.negative? ? 2 : [arity, 2].min
      end
      private_class_method :arguments
    end
  end
end
