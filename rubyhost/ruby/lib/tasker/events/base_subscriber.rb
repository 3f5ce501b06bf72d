# frozen_string_literal: true

module Tasker
  module Events
    # Holds the base class of subscribers.
    module Subscribers
      # Calls a method for each event that its class subscribed to. For
      # "payment.risk_flagged" the method is +handle_payment_risk_flagged+.
      #
      # @example
      #   class Alerts < Tasker::Events::Subscribers::BaseSubscriber
      #     subscribe_to "step.failed"
      #
      #     def handle_step_failed(event)
      #       Pager.alert("#{event[:step_name]}: #{event[:error_message]}")
      #     end
      #   end
      #   Alerts.subscribe
      class BaseSubscriber
        class << self
          # @param events [Array<String, Symbol>]
          # @return [nil]
          def subscribe_to(*events)
            @subscribed_events = (subscribed_events + events.map(&:to_s)).uniq
            nil
          end

          # @return [Array<String>] including those of its superclass
          def subscribed_events
            inherited = superclass.respond_to?(:subscribed_events) ? superclass.subscribed_events : []
            inherited | (@subscribed_events || [])
          end

          # @yieldparam name [String] an event's name
          # @yieldreturn [Boolean] whether to listen to it
          # @return [nil]
          def filter_events(&filter)
            @event_filter = filter
            nil
          end

          # @return [Proc, nil]
          def event_filter
            @event_filter || (superclass.event_filter if superclass.respond_to?(:event_filter))
          end

          # Makes an instance and subscribes it.
          #
          # @param publisher [#subscribe]
          # @return [BaseSubscriber]
          def subscribe(publisher = Events)
            new.tap { |subscriber| subscriber.subscribe_to_publisher(publisher) }
          end
        end

        # @param publisher [#subscribe]
        # @return [nil]
        # @raise [ConfigurationError] when a method is missing
        def subscribe_to_publisher(publisher)
          self.class.subscribed_events.each do |name|
            next if self.class.event_filter&.call(name) == false

            handler = :"handle_#{name.delete_prefix("custom.").gsub(/\W/, "_")}"
            unless respond_to?(handler, true)
              raise ConfigurationError, "#{self.class} subscribes to #{name}, but has no method #{handler}(event)"
            end
            publisher.subscribe(name, &method(handler))
          end
          nil
        end

        protected

        # @param event [Event, Hash]
        # @param key [Symbol, String]
        # @return [Object]
        def safe_get(event, key, default = nil)
          event.nil? ? default : event.fetch(key.to_sym) { default }
        end
      end
    end
  end
end
