# frozen_string_literal: true

module TaskerCore
  module StepHandler
    # Handlers as blocks. A template names one by its string, or by the constant that the
    # class was assigned to.
    #
    # @example
    #   include TaskerCore::StepHandler::Functional
    #
    #   step_handler "charge_card", depends_on: { cart: "validate_cart" }, inputs: [:token] do |cart:, token:, context:|
    #     { charge: Gateway.charge(token, cart["total_cents"], key: context.step_uuid) }
    #   end
    module Functional
      # What a block of a decision point returns. Decision points are refused.
      class Decision
        # @return [Object]
        attr_reader :type, :steps, :reason, :routing_context

        def initialize(type, steps, reason, routing_context)
          @type = type
          @steps = steps
          @reason = reason
          @routing_context = routing_context
          freeze
        end

        # @return [Decision]
        def self.route(steps, **routing_context)
          new("create_steps", Array(steps), nil, routing_context)
        end

        # @return [Decision]
        def self.skip(reason, **routing_context)
          new("no_branches", [], reason, routing_context)
        end
      end

      # What the block of a batch's analyzer returns. Batches are refused.
      class BatchConfig
        # @return [Object]
        attr_reader :total_items, :batch_size, :metadata

        def initialize(total_items:, batch_size:, metadata: {})
          @total_items = total_items
          @batch_size = batch_size
          @metadata = metadata
          freeze
        end
      end

      module_function

      # Defines a handler. The block gets, as keywords, what +depends_on+ and +inputs+
      # name, and the context.
      #
      # A Hash that the block returns is the step's results; nil counts as an empty one,
      # and another object as its +to_h+, if it has any. An exception fails the attempt.
      #
      # @param name [String, Symbol] for templates
      # @param depends_on [Hash{Symbol => String, Array}] keywords and the names of the
      #   steps whose results they get; or of each an Array of name and model
      # @param inputs [Array<Symbol, String>, Class] keys of the task's context, each a
      #   keyword; or a model, whose instance is the keyword +inputs:+. A model has
      #   +attribute_names+ and takes its attributes as keywords, as a Dry::Struct does.
      # @param version [String]
      # @yieldparam context [Types::StepContext]
      # @return [Class] the handler class
      # @raise [Tasker::HandlerError] when the block asks for a keyword that it would not
      #   get
      def step_handler(name, depends_on: {}, inputs: [], version: "1.0.0", &block)
        Definition.new(name, depends_on, inputs, version, block).build(Base)
      end

      # Defines a handler that calls an HTTP API. Its block also gets +api:+, an object
      # with the methods of {Mixins::API}.
      #
      # @param base_url [String]
      # @param timeout [Numeric, nil] seconds
      # @param open_timeout [Numeric, nil] seconds
      # @param headers [Hash]
      # @return [Class] see {#step_handler}
      def api_handler(name, base_url:, depends_on: {}, inputs: [], version: "1.0.0", timeout: nil, open_timeout: nil, headers: {}, &block)
        config = { url: base_url, timeout: timeout, open_timeout: open_timeout, headers: headers }.compact
        Definition.new(name, depends_on, inputs, version, block, extra: :api).build(Api) do
          define_method(:initialize) { super(config: config, &nil) } # not the block of this method
        end
      end

      # Defines a decision point. It is loaded, and refused when a template uses it.
      #
      # @return [Class] see {#step_handler}
      def decision_handler(name, depends_on: {}, inputs: [], version: "1.0.0", &block)
        Definition.new(name, depends_on, inputs, version, block).build(StepHandler::Decision)
      end

      # Defines the first step of a batch. It is loaded, and refused when a template uses it.
      #
      # @return [Class] see {#step_handler}
      def batch_analyzer(name, worker_template:, depends_on: {}, inputs: [], version: "1.0.0", &block) # rubocop:disable Lint/UnusedMethodArgument
        Definition.new(name, depends_on, inputs, version, block).build(Batchable)
      end

      # Defines the steps of a batch. It is loaded, and refused when a template uses it.
      #
      # @return [Class] see {#step_handler}
      def batch_worker(name, depends_on: {}, inputs: [], version: "1.0.0", &block)
        Definition.new(name, depends_on, inputs, version, block, extra: :batch_context).build(Batchable)
      end

      # One handler as a block.
      #
      # @api private
      class Definition
        def initialize(name, depends_on, inputs, version, block, extra: nil)
          raise ArgumentError, "block required" unless block

          @name = name.to_s
          @depends_on = depends_on
          @inputs = inputs
          @version = version
          @block = block
          @extra = extra
        end

        # @param base [Class]
        # @yield in the class
        # @return [Class]
        def build(base, &more)
          check
          handler_class = make(base)
          handler_class.class_eval(&more) if more
          Tasker::HandlerLoader::Registry.register(@name, handler_class, place)
        end

        # An exception becomes a result, because specs call the handler themselves. The host
        # takes the exception out of it again.
        #
        # @return [Types::StepHandlerCallResult::Success, Types::StepHandlerCallResult::Error]
        def run(handler, context)
          Functional.wrap(@block.call(**accepted(arguments(context, handler))), @name)
        rescue StandardError => e
          Types::StepHandlerCallResult.from_exception(e).tap { |result| result.raised = e }
        end

        private

        def make(base)
          definition = self
          name = @name
          version = @version
          Class.new(base) do
            const_set(:VERSION, version)
            define_singleton_method(:to_s) { self.name || "the handler #{name.inspect}" }
            singleton_class.alias_method :inspect, :to_s
            define_method(:handler_name) { name }
            define_method(:call) { |context| definition.run(self, context) }
          end
        end

        def place = @block.source_location.join(":")

        def check
          raise_error("inputs: has to be an Array of names, or a class with attribute_names, not #{@inputs.inspect}") unless inputs?
          missing = @block.parameters.filter_map { |kind, name| name if kind == :keyreq } - given
          return if missing.empty?

          raise_error("its block asks for the keyword #{missing.first}:, and neither depends_on: nor inputs: names it")
        end

        def raise_error(problem)
          raise Tasker::HandlerError, "the handler #{@name.inspect} (#{place}): #{problem}"
        end

        def inputs?
          @inputs.is_a?(Class) ? @inputs.respond_to?(:attribute_names) : @inputs.is_a?(Array) || @inputs.is_a?(Symbol) || @inputs.is_a?(String)
        end

        # The keywords that the block is called with.
        def given
          [:context, @extra, *@depends_on.keys.map(&:to_sym), *(@inputs.is_a?(Class) ? [:inputs] : Array(@inputs).map(&:to_sym))].compact
        end

        # A block that takes keywords is given no others than these.
        def accepted(arguments)
          kinds = @block.parameters.map(&:first)
          return arguments if kinds.include?(:keyrest) || (kinds & %i[key keyreq]).empty?

          arguments.slice(*@block.parameters.filter_map { |kind, name| name if %i[key keyreq].include?(kind) })
        end

        def arguments(context, handler)
          arguments = { context: context }
          arguments[@extra] = handler if @extra
          @depends_on.each { |keyword, source| arguments[keyword.to_sym] = result_of(context, source) }
          return arguments.merge(inputs: input_model(context)) if @inputs.is_a?(Class)

          Array(@inputs).each { |key| arguments[key.to_sym] = context.get_input(key) }
          arguments
        end

        def result_of(context, source)
          step, model = source
          result = context.get_dependency_result(step)
          return result unless model && result.is_a?(Hash)

          model.new(**result.symbolize_keys.slice(*model.attribute_names))
        end

        def input_model(context)
          attributes = @inputs.attribute_names.to_h { |name| [name, context.get_input(name)] }.compact
          model = @inputs.new(**attributes)
          model.validate! if model.respond_to?(:validate!)
          model
        end
      end
      private_constant :Definition

      # @api private
      # @return [Object] what {Layer.unwrap} takes
      def self.wrap(value, name)
        results = Types::StepHandlerCallResult
        case value
        when results::Success, results::Error, results::CheckpointYield then value
        when Hash then results.success(result: value)
        when nil then results.success(result: {})
        else
          kept = value.respond_to?(:to_h) ? value.to_h : {}
          Tasker.logger.warn("the handler #{name.inspect} returned #{Tasker::Article.of(value.class)}, of which nothing is kept; return a Hash") if kept.empty?
          results.success(result: kept)
        end
      end
    end
  end
end
