# frozen_string_literal: true

module TaskerCore
  module DomainEvents
    # The publishers, by the names that templates use.
    class PublisherRegistry
      # A template names publishers that nobody has registered.
      class ValidationError < StandardError
        # @return [Array<String>]
        attr_reader :missing_publishers, :registered_publishers

        def initialize(missing, registered)
          @missing_publishers = missing
          @registered_publishers = registered
          super("no publisher is registered as #{missing.join(", ")}; registered are #{registered.empty? ? "none" : registered.join(", ")}")
        end
      end

      # There is no publisher of that name.
      class PublisherNotFoundError < StandardError
        # @return [String]
        attr_reader :publisher_name
        # @return [Array<String>]
        attr_reader :registered_publishers

        def initialize(name, registered)
          @publisher_name = name
          @registered_publishers = registered
          super("no publisher is registered as #{name}; registered are #{registered.empty? ? "none" : registered.join(", ")}")
        end
      end

      # The registry takes no more publishers.
      class RegistryFrozenError < StandardError; end

      # There is a publisher of that name already.
      class DuplicatePublisherError < StandardError
        # @return [String]
        attr_reader :publisher_name

        def initialize(name)
          @publisher_name = name
          super("a publisher is registered as #{name} already")
        end
      end

      # Publishes the step's result as it is.
      class DefaultPublisher < BasePublisher
        def name = "default"
      end

      class << self
        # @return [PublisherRegistry]
        def instance = @instance ||= new
      end

      # @return [Logger]
      attr_reader :logger
      # @return [Hash{String => BasePublisher}]
      attr_reader :publishers
      # @return [BasePublisher]
      attr_reader :default_publisher

      def initialize
        @logger = Logger.instance
        @publishers = {}
        @default_publisher = DefaultPublisher.new
        @frozen = false
        @warned = {}
      end

      # @param publisher [BasePublisher]
      # @return [nil]
      # @raise [DuplicatePublisherError]
      def register(publisher)
        raise ArgumentError, "a publisher has to be a BasePublisher, not #{Tasker::Article.of(publisher.class)}" unless publisher.is_a?(BasePublisher)

        check_open
        name = publisher.name
        raise DuplicatePublisherError, name if @publishers.key?(name)

        @publishers[name] = publisher
        nil
      end

      # @param name [String]
      # @return [BasePublisher, nil]
      def get(name) = @publishers[name]

      # A publisher that is not registered is made, if the name is that of its class.
      #
      # @param name [String, nil]
      # @return [BasePublisher]
      def get_or_default(name)
        return @default_publisher if name.nil? || name == "default"

        @publishers[name] || of_class(name) || missing(name)
      end

      # @param name [String]
      # @return [BasePublisher]
      # @raise [PublisherNotFoundError]
      def get_strict(name)
        return @default_publisher if name == "default"

        @publishers[name] || raise(PublisherNotFoundError.new(name, registered_names))
      end

      # @return [Boolean]
      def registered?(name) = name == "default" || @publishers.key?(name)

      # @return [Array<String>]
      def registered_names = @publishers.keys

      # @return [Integer]
      def count = @publishers.size

      # @return [Boolean]
      def empty? = @publishers.empty?

      # @return [BasePublisher, nil]
      def unregister(name)
        check_open
        @publishers.delete(name)
      end

      # @return [void]
      def clear
        check_open
        @publishers.clear
      end

      # @param required_publishers [Array<String>]
      # @return [true]
      # @raise [ValidationError]
      def validate_required!(required_publishers)
        missing = required_publishers.reject { |name| registered?(name) }
        raise ValidationError.new(missing, registered_names) if missing.any?

        @frozen = true
      end

      # @return [Boolean]
      def frozen? = @frozen

      # @return [void]
      def freeze!
        @frozen = true
      end

      # @return [void]
      def reset!
        @publishers.clear
        @frozen = false
      end

      private

      def check_open
        raise RegistryFrozenError, "the publishers were validated, and no other can be registered" if @frozen
      end

      def of_class(name)
        found = Object.const_get(name) if name.match?(/\A[A-Z]\w*(::[A-Z]\w*)*\z/) && Object.const_defined?(name)
        @publishers[name] = found.new if found.is_a?(Class) && found < BasePublisher
      end

      def missing(name)
        logger.warn("no publisher is registered as #{name}; the step's result is published as it is") unless @warned[name]
        @warned[name] = true
        @default_publisher
      end
    end

    DefaultPublisher = PublisherRegistry::DefaultPublisher
    ValidationError = PublisherRegistry::ValidationError
    PublisherNotFoundError = PublisherRegistry::PublisherNotFoundError
    RegistryFrozenError = PublisherRegistry::RegistryFrozenError
  end
end
