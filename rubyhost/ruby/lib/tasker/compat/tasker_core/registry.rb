# frozen_string_literal: true

module TaskerCore
  # Holds the registry of handlers.
  module Registry
    # Handlers by names of their own.
    class HandlerRegistry
      # @return [HandlerRegistry]
      def self.instance = @instance ||= new

      # @param name [String]
      # @param handler_class [Class]
      # @return [Class] the handler class
      def register_handler(name, handler_class)
        place = caller_locations(1, 1).first
        Tasker::HandlerLoader::Registry.register(name, handler_class, "#{place.path}:#{place.lineno}")
      end
      alias register register_handler

      # @param name [String]
      # @return [Boolean]
      def handler_available?(name)
        Tasker::HandlerLoader::Registry.names.include?(name.to_s)
      end
      alias is_registered handler_available?

      # @return [Array<String>]
      def registered_handlers = Tasker::HandlerLoader::Registry.names.sort
      alias list_handlers registered_handlers
    end
  end
end
