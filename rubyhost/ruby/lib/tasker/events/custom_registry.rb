# frozen_string_literal: true

module Tasker
  module Events
    # The events that an application has defined itself.
    class CustomRegistry
      RESERVED = %w[task step workflow observability test].freeze
      private_constant :RESERVED

      class << self
        # @return [CustomRegistry]
        def instance = @instance ||= new
      end

      # @param name [String] with a namespace, such as "order.fulfilled"
      # @param description [String]
      # @param fired_by [Array<String>, String] who publishes it
      # @return [nil]
      # @raise [ArgumentError] when the name is one of the engine's, or has no namespace
      def register_event(name, description: "Custom event", fired_by: [])
        check(name)
        Events.register(name, description: description, fired_by: Array(fired_by))
      end

      # @return [Hash{String => Hash}] by name
      def custom_events
        Events.custom.transform_values { |event| event.merge(category: "custom", fired_by: Array(event[:fired_by])) }
      end

      # @return [Boolean]
      def registered?(name) = Events.custom.key?(name.to_s)

      # @return [Hash, nil]
      def event_metadata(name) = custom_events[name.to_s]
      alias event_info event_metadata

      # @return [Array<String>]
      def registered_events = Events.custom.keys

      # Forgets them all, for tests.
      #
      # @return [nil]
      def clear! = Events.forget_custom
      alias clear_all_events clear!

      private

      def check(name)
        raise ArgumentError, "an event's name has to be a String, not #{name.inspect}" unless name.is_a?(String)
        raise ArgumentError, "the name of a custom event needs a namespace, such as order.fulfilled; #{name.inspect} has none" unless name.include?(".")

        namespace = name[/\A[^.]*/].downcase
        return unless Names.table.key?(name) || RESERVED.include?(namespace)

        raise ArgumentError, "#{name.inspect} cannot be a custom event: the names in #{namespace} belong to the engine"
      end
    end
  end
end
