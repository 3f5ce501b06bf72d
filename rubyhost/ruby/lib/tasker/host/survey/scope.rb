# frozen_string_literal: true

module Tasker
  module Host
    module Survey
      # The local variables of a method, as far as they hold what the host gives: the task,
      # the sequence, the step, a context, or a part of task.context.
      class Scope
        # The methods that a handler's step is run by, with what their parameters are.
        GIVEN = {
          "process" => %i[task sequence step], "handle" => %i[task sequence step], "call" => %i[task sequence step],
          "process_results" => %i[step]
        }.freeze
        NAMES = { "task" => :task, "sequence" => :sequence, "step" => :step }.freeze
        BLOCKS = %w[step_handler api_handler].freeze
        # Methods that read a key of the context.
        READS = %w[fetch dig key? has_key? include? member? get_input get_input_or get_task_field].to_h { |name| [name, true] }.freeze
        # Methods that change a Hash. Those that end in ! and are not below change it too.
        WRITES = %w[store delete update replace clear delete_if keep_if shift].freeze
        # Methods that change an Array or a String inside the context.
        INNER = %w[push append unshift prepend concat insert pop fill].freeze
        KEYED = [*WRITES, *INNER].to_h { |name| [name, true] }.merge(READS).freeze
        private_constant :GIVEN, :NAMES, :BLOCKS, :WRITES, :INNER, :KEYED

        # @param name [String, nil] of a method
        # @return [Boolean] whether it may read or change a context
        def self.keyed?(name) = name && (KEYED.key?(name) || name.end_with?("!"))

        def initialize
          @objects = {} # of variables, by name
          @parts = {} # variables that are a part of task.context => its shape
          @parameters = {} # of the method => their places
        end

        # @return [String, nil] the name of the method around
        attr_reader :name

        # The variables of a class's body are its own.
        def nested(&block) = fresh({}, &block)

        # @param name [String]
        # @param params [Array, nil] the tree
        def method(name, params, &block)
          required = names(params)
          given = GIVEN.fetch(name, [])
          given = [:context] if name == "call" && required.size == 1
          found = required.zip(required.size == 1 && name != "process_results" && given.size > 1 ? [] : given).to_h
          required.each { |variable| found[variable] ||= NAMES[variable] }
          fresh(found.compact, name, required, &block)
        end

        # @param call [String, nil] the method that the block is given to
        # @param block [Array] the tree
        def block(call, block, &body)
          return shadowed(block, &body) unless BLOCKS.include?(call)

          keywords = names(block, :keywords)
          fresh(keywords.include?("context") ? { "context" => :context } : {}, &body)
        end

        # The parameters of a block are other variables than those of these names around it.
        #
        # @param block [Array] the tree
        def shadowed(block)
          before = [@objects, @parts, @parameters]
          hidden = before.all?(&:empty?) ? [] : names(block)
          @objects, @parts, @parameters = before.map { |variables| variables.except(*hidden) } if hidden.any?
          yield
        ensure
          @objects, @parts, @parameters = before if hidden&.any?
        end

        # @param call [Array] the tree of a call with a block
        # @return [Array<String>] the keys of the context that inputs: of step_handler names
        def inputs(call)
          return [] unless BLOCKS.include?(Shape.of(call)&.last)

          hash = Shape.arguments(call[2]).find { |node| node.is_a?(Array) && node[0] == :bare_assoc_hash }
          pair = hash && hash[1].find { |node| node[0] == :assoc_new && Shape.name(node[1]) == "inputs:" }
          list = pair && pair[2][0] == :array ? Array(pair[2][1]) : []
          list.filter_map { |node| Shape.literal(node) }
        end

        # @param target [Array] the leaf of a variable or constant
        # @param value [Array, nil] its shape
        # @yieldparam name [String] of a constant
        def assign(target, value)
          name = Shape.name(target)
          return yield(name) if target[0] == :@const

          [@objects, @parts, @parameters].each { |variables| variables.delete(name) }
          @parts[name] = value if value && context?(value)
        end

        # @return [Symbol, nil] what the host gives, if the node is that
        def object(node)
          return nil unless node.is_a?(Array) && @objects.any?
          return @objects[node[1][1]] if node[0] == :var_ref && node[1][0] == :@ident

          :task if node[0] == :call && Shape.name(node[3]) == "task" && @objects[local(Shape.of(node[1]))]
        end

        # @param shape [Array, nil]
        # @return [Boolean] whether it is task.context or a part of it
        def context?(shape)
          case shape && shape[0]
          when :index then context?(shape[1])
          when :local then @parts.key?(shape[1])
          when :call
            (shape[2] == "context" && task?(shape[1])) || (shape[2] == "input_data" && @objects[local(shape[1])] == :context)
          else false
          end
        end

        # @return [Boolean] whether the call changes a Hash, or what is in it
        def writes?(shape, name)
          WRITES.include?(name) || (name.end_with?("!") && name != "!") || (!shape.nil? && shape[0] == :index && INNER.include?(name))
        end

        # @param shape [Array, nil]
        # @return [Integer, nil] the place of the method's parameter that it is, or is a part
        #   of
        def parameter(shape)
          shape = shape[1] while shape && shape[0] == :index
          @parameters[shape[1]] if shape && shape[0] == :local
        end

        # @param node [Object] an argument of a call
        # @return [Boolean] whether it is task.context
        def hands_over?(node)
          return false unless node.is_a?(Array)
          return false unless node[0] == :call ? %w[context input_data].include?(Shape.name(node[3])) : node[0] == :var_ref && @parts.any?

          context?(Shape.of(node))
        end

        # @param shape [Array, nil] a part of task.context
        # @return [String, nil] the key of the context that the part belongs to
        def key_of(shape)
          key = nil
          while shape && (shape[0] == :index || (shape[0] == :local && @parts[shape[1]]))
            if shape[0] == :index
              key = shape[2]
              shape = shape[1]
            else
              shape = @parts[shape[1]]
            end
          end
          key
        end

        private

        def fresh(objects, name = nil, parameters = [])
          before = [@objects, @parts, @parameters, @name]
          @objects = objects
          @parts = {}
          @parameters = parameters.each_with_index.to_h
          @name = name
          yield
        ensure
          @objects, @parts, @parameters, @name = before
        end

        def task?(shape)
          return false unless shape

          case shape[0]
          when :local then %i[task context].include?(@objects[shape[1]]) || shape[1] == "task"
          when :ivar then shape[1] == "@task"
          when :call then shape[2] == "task"
          else false
          end
        end

        def local(shape) = shape && shape[0] == :local ? shape[1] : nil

        # @return [Array<String>] of the parameters
        def names(node, kind = :required)
          params = find(node)
          return [] unless params

          found = kind == :required ? [*params[1], *Array(params[2]).map(&:first)] : Array(params[5]).map(&:first)
          found.filter_map { |leaf| Shape.name(leaf)&.delete_suffix(":") }
        end

        def find(node)
          return nil unless node.is_a?(Array)
          return node if node[0] == :params

          case node[0]
          when :paren, :block_var, :brace_block, :do_block, :lambda then find(node[1])
          end
        end
      end
    end
  end
end
