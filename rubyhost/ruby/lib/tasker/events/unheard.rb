# frozen_string_literal: true

module Tasker
  module Events
    # Finds the subscriptions to events that never come, once all handlers are loaded.
    #
    # An event comes if the host publishes it, if a handler class has it among its custom
    # events, or if its name stands in a file that was loaded, other than where somebody
    # subscribes to it. Sources are only read when a name is in doubt.
    #
    # @api private
    module Unheard
      SUBSCRIBING = /\bsubscribe(?:_to)?\b[\s(]*(?:(?:["'][^"'\n]*["']|:"?[\w.]+"?)[\s,]*)+/
      # A name that is made at run time may be any.
      MADE = /\b(?:publish(?:_event|_custom_event)?\(|publish_(?:custom_)?event )(?:"[^"\n]*\#\{|[a-z_])/
      private_constant :SUBSCRIBING, :MADE

      @said = {}

      class << self
        # Logs what is wrong. Each place is said once.
        #
        # @yieldreturn [Array<Class>] the handler classes that are loaded
        # @return [nil]
        def warn(&classes)
          doubtful(classes).each { |place, message| say(place, message) }
          Subscribers::BaseSubscriber.known.each do |subscriber|
            next if subscriber.subscribed || subscriber.name.nil? || subscriber.subscribed_events.empty?

            say(subscriber.place_of(subscriber.subscribed_events.last), "#{subscriber} hears nothing, because nothing has called #{subscriber}.subscribe")
          end
          Execution::Entry.layer&.unheard.to_a.each do |subscriber|
            say(Object.const_source_location(subscriber.name).to_a.join(":"), "#{subscriber} hears nothing, because it is not registered; " \
                                                                               "write TaskerCore::DomainEvents::SubscriberRegistry.instance.register(#{subscriber})")
          end
          nil
        end

        private

        def say(place, message)
          line = "#{place}: #{message}"
          return if @said[line]

          @said[line] = true
          Tasker.logger.warn(line)
        end

        # @return [Array<Array(String, String)>] places and messages
        def doubtful(classes)
          subscriptions = Events.subscriptions.select { |s| s.place && s.pattern.is_a?(String) && !published?(s.pattern) }
          return [] if subscriptions.empty?

          classes&.call.to_a.each { |handler_class| register(handler_class) }
          subscriptions = subscriptions.reject { |s| Events.custom.key?(s.pattern) }
          return [] if subscriptions.empty?

          sources = read_sources
          subscriptions.reject { |s| named?(s.pattern, sources) }.map { |s| [s.place, message(s.pattern)] }
        end

        def published?(name) = %i[step engine].include?(Names.table[name]&.source)

        # Its template may never be run here; then its mistakes are nobody's business.
        def register(handler_class)
          Events.register_handler(handler_class)
        rescue StandardError
          nil
        end

        def named?(name, sources)
          entry = Names.table[name]
          return sources.any? { |text| text.match?(/publish_(?:#{name.tr(".", "_")}|#{name[/\w+\z/]})\b/) } if entry

          sources.any? { |text| text.match?(MADE) || text.gsub(SUBSCRIBING, "").match?(/["':]#{Regexp.escape(name)}\b/) }
        end

        # Files that were loaded and belong to no gem.
        def read_sources
          theirs = [*(Gem.path if defined?(Gem)), RbConfig::CONFIG["rubylibprefix"], File.expand_path("../..", __dir__)].map { |path| "#{path}/" }
          $LOADED_FEATURES.filter_map do |file|
            next if !file.end_with?(".rb") || file.start_with?(*theirs) || !File.file?(file)

            File.read(file, encoding: "UTF-8").scrub
          end
        end

        def message(name)
          entry = Names.table[name]
          return "the event #{name} never comes: #{entry.description}#{"; use #{entry.instead}" if entry.instead}" if entry

          "nobody publishes the event #{name}#{near(name)}"
        end

        def near(name)
          require "did_you_mean" unless defined?(DidYouMean::SpellChecker)
          found = DidYouMean::SpellChecker.new(dictionary: [*Names.published.map(&:name), *Events.custom.keys]).correct(name).first
          found ? "; did you mean #{found}?" : ""
        rescue LoadError
          ""
        end
      end
    end
  end
end
