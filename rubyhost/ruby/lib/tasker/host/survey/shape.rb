# frozen_string_literal: true

module Tasker
  module Host
    module Survey
      # The shape of an expression in Ripper's tree: what a rule has to know of a receiver.
      #
      # [:const, ["Shop", "Money"]], [:local, "task"], [:ivar, "@task"], [:number],
      # [:call, shape, "name"], [:index, shape, key], or nil for any other.
      module Shape
        module_function

        # @param node [Object] of the tree
        # @return [Array, nil]
        def of(node)
          return nil unless node.is_a?(Array)

          case node[0]
          when :var_ref, :vcall, :var_field then leaf(node[1])
          when :const_path_ref, :top_const_ref, :const_path_field, :top_const_field, :const_ref then path(node)&.then { |path| [:const, path] }
          when :call, :command_call, :field then name(node[3])&.then { |name| [:call, of(node[1]), name] }
          when :fcall, :command then [:call, nil, name(node[1])]
          when :method_add_arg, :method_add_block then fetched(node) || of(node[1])
          when :aref, :aref_field then [:index, of(node[1]), key(node[2])]
          when :paren then node[1].is_a?(Array) && node[1].size == 1 ? of(node[1][0]) : of(node[1])
          when :@int, :@float, :@rational then [:number]
          when :unary then of(node[2])
          end
        end

        # @return [Array<String>, nil] the parts of a constant's name
        def path(node)
          case node[0]
          when :@const then [node[1]]
          when :var_ref, :const_ref, :top_const_ref, :top_const_field, :var_field then node[1].is_a?(Array) && node[1][0] == :@const ? [node[1][1]] : nil
          when :const_path_ref, :const_path_field then (left = path(node[1])) && [*left, node[2][1]]
          end
        end

        # @return [Boolean] whether the name begins with ::
        def absolute?(node)
          node = node[1] while %i[const_path_ref const_path_field].include?(node[0])
          %i[top_const_ref top_const_field].include?(node[0])
        end

        # @return [String, nil] of an identifier, a constant or an operator
        def name(node)
          return node.to_s if node.is_a?(Symbol)

          node[1] if node.is_a?(Array) && node[0].is_a?(Symbol) && node[0].start_with?("@")
        end

        # @param arguments [Array, nil]
        # @return [Array] the nodes of the arguments
        def arguments(arguments)
          return [] unless arguments.is_a?(Array)

          case arguments[0]
          when :arg_paren, :paren then arguments(arguments[1])
          when :args_add_block then arguments(arguments[1])
          when Symbol then arguments[0].start_with?("args_") ? [] : [arguments]
          else arguments
          end
        end

        # @return [String, nil] a literal Symbol or String as the first argument
        def key(arguments)
          literal(arguments(arguments).first)
        end

        # @return [String, nil]
        def literal(node)
          return nil unless node.is_a?(Array)

          case node[0]
          when :@tstring_content then node[1]
          when :symbol_literal then name(node[1].is_a?(Array) && node[1][0] == :symbol ? node[1][1] : node[1])
          when :string_literal
            content = node[1]
            content[1][1] if content.is_a?(Array) && content.size == 2 && content[1].is_a?(Array) && content[1][0] == :@tstring_content
          end
        end

        # @return [Integer, nil] the first line of a node
        def line(node)
          return nil unless node.is_a?(Array)
          return node[2][0] if node[0].is_a?(Symbol) && node[0].start_with?("@") && node[2].is_a?(Array)

          node.each do |child|
            found = line(child)
            return found if found
          end
          nil
        end

        def leaf(node)
          return nil unless node.is_a?(Array)

          case node[0]
          when :@const then [:const, [node[1]]]
          when :@ident then [:local, node[1]]
          when :@ivar then [:ivar, node[1]]
          when :@kw then [:local, node[1]]
          end
        end

        # x.fetch(:key) and x.dig(:key) are x[:key].
        def fetched(node)
          call = node[1]
          return nil unless node[0] == :method_add_arg && call.is_a?(Array) && call[0] == :call && %w[fetch dig].include?(name(call[3]))

          [:index, of(call[1]), key(node[2])]
        end
      end
    end
  end
end
