# frozen_string_literal: true

require_relative "extraction"

module Tasker
  module Events
    # Holds the base class of subscribers.
    module Subscribers
      # Calls a method for each event that its class subscribed to. For
      # "payment.risk_flagged" the method is +handle_payment_risk_flagged+.
      #
      # @example
      #   class Alerts < Tasker::Events::Subscribers::BaseSubscriber
      #     subscribe_to "task.failed"
      #
      #     def handle_task_failed(event)
      #       Pager.alert("#{event[:task_name]}: #{event[:error_message]}")
      #     end
      #   end
      #   Alerts.subscribe
      class BaseSubscriber
        include Extraction

        class << self
          # @param events [Array<String, Symbol>]
          # @return [nil]
          def subscribe_to(*events)
            events = events.map(&:to_s)
            at = caller_locations(1, 1).first
            @places = events.to_h { |name| [name, "#{at.path}:#{at.lineno}"] }.merge(@places || {})
            @subscribed_events = (subscribed_events + events).uniq
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

          # @api private
          # @param name [String] of an event
          # @return [String, nil] where it says that it subscribes to it, as file:line
          def place_of(name)
            @places&.[](name) || (superclass.place_of(name) if superclass.respond_to?(:place_of))
          end

          # @api private
          # @return [Boolean] whether an instance of it, or of a class below it, has subscribed
          attr_reader :subscribed

          # @api private
          def subscribed!
            @subscribed = true
            superclass.subscribed! if superclass.respond_to?(:subscribed!)
          end

          # @api private
          # @return [Array<Class>] all classes below this one
          def known = subclasses.flat_map { |subscriber| [subscriber, *subscriber.known] }
        end

        # @param name [String, nil]
        # @param events [Array<String>, nil] that the class subscribes to as well
        # @param config [Hash]
        def initialize(name: nil, events: nil, config: {})
          @subscription_name = name
          @subscription_config = config
          self.class.subscribe_to(*events) if events
        end

        # An event without a method is left out, with a warning.
        #
        # @param publisher [#subscribe]
        # @return [nil]
        def subscribe_to_publisher(publisher)
          self.class.subscribed!
          self.class.subscribed_events.each do |name|
            next if self.class.event_filter&.call(name) == false || !should_process_event?(name)

            handler = generate_handler_method_name(name)
            if respond_to?(handler, true)
              listen(publisher, name, method(handler))
            else
              Tasker.logger.warn("#{self.class.place_of(name)}: #{self.class} subscribes to #{name}, but has no method #{handler}(event)")
            end
          end
          nil
        end

        protected

        # A subclass may leave events out.
        #
        # @param _name [String]
        # @return [Boolean]
        def should_process_event?(_name) = true

        # @param name [String]
        # @return [Symbol] the method that is called
        def generate_handler_method_name(name)
          :"handle_#{name.to_s.delete_prefix("custom.").gsub(/([a-z\d])([A-Z])/, '\1_\2').gsub(/\W/, "_").downcase}"
        end

        private

        # Subscriptions know their place, which is that of subscribe_to and not of subscribe.
        def listen(publisher, name, handler)
          return publisher.subscribe(name, &handler) unless publisher.equal?(Events)

          Events.subscribe_from(self.class.place_of(name), name, &handler)
        end
      end
    end
  end
end
