# frozen_string_literal: true

module Tasker
  module Execution
    # Makes handlers. A class may take its handler_config as the keyword +config:+,
    # as a positional argument, or not at all. This is found out once for each
    # class.
    #
    # @api private
    module Construction
      # Every change is one operation on the Hash, so no lock is needed.
      WAYS = {}.compare_by_identity
      private_constant :WAYS

      class << self
        # @param handler_class [Class]
        # @param sequence [Sequence]
        # @return [Object] a new instance
        def build(handler_class, sequence)
          way = WAYS[handler_class] || learn(handler_class)
          return handler_class.new if way == :nothing || (way == :keyword && !sequence.handler_config?)

          make(handler_class, way, sequence)
        rescue ArgumentError
          # Perhaps the class has been reopened and takes other arguments now.
          now = way_of(handler_class)
          raise if now == way

          make(handler_class, learn(handler_class), sequence)
        end

        # @raise [HandlerError] when the class cannot be made from a config
        def check(handler_class)
          learn(handler_class)
          nil
        end

        # @return [nil]
        def forget
          WAYS.clear
          nil
        end

        private

        def make(handler_class, way, sequence)
          case way
          when :keyword
            sequence.handler_config? ? handler_class.new(config: sequence.handler_config) : handler_class.new
          when :nothing then handler_class.new
          when :positional
            sequence.handler_config? ? handler_class.new(sequence.handler_config) : handler_class.new
          when :required_keyword then handler_class.new(config: sequence.handler_config)
          when :required_positional then handler_class.new(sequence.handler_config)
          end
        end

        def learn(handler_class)
          WAYS[handler_class] = way_of(handler_class)
        end

        def way_of(handler_class)
          maker = maker_of(handler_class)
          return :nothing if maker.owner == BasicObject || maker.owner == Object

          way_by(handler_class, maker.parameters)
        end

        # A class may define its own +new+. Then its parameters count, and not those
        # of +initialize+.
        def maker_of(handler_class)
          maker = handler_class.method(:new)
          maker.owner == Class ? handler_class.instance_method(:initialize) : maker
        end

        def way_by(handler_class, parameters)
          kinds = parameters.group_by(&:first).transform_values { |list| list.map(&:last) }
          needed = kinds.fetch(:keyreq, []) - [:config]
          refuse(handler_class, "the keyword #{needed.first}:") if needed.any?
          return required(handler_class, kinds) if kinds.key?(:req) || kinds.key?(:keyreq)
          return :keyword if kinds.fetch(:key, []).include?(:config) || kinds.key?(:keyrest)
          return :positional if kinds.key?(:opt)

          kinds.key?(:rest) ? :keyword : :nothing
        end

        def required(handler_class, kinds)
          positional = kinds.fetch(:req, []).size
          keyword = kinds.key?(:keyreq)
          return :required_keyword if keyword && positional.zero?
          return :required_positional if positional == 1 && !keyword

          refuse(handler_class, "#{positional + (keyword ? 1 : 0)} arguments")
        end

        def refuse(handler_class, what)
          raise HandlerError, "#{handler_class}.new asks for #{what}; a handler is made with its config, " \
                              "new(config: {...}), or with nothing"
        end
      end
    end
  end
end
