# frozen_string_literal: true

module Tasker
  class HandlerLoader
    # Handlers that have a name of their own, such as "validate_cart" or
    # "shop.validate_cart", which a template may use instead of a class's name.
    #
    # Two definitions of one name are let pass when they are loaded, because a program
    # may never use that name. A template that does is refused, with both places.
    module Registry
      # @!attribute place [String] where it was registered, as file:line
      Named = Struct.new(:handler_class, :place)
      NAME = %r{\A[[:alpha:]_][\w-]*(?:(?:[./:]|::)[\w-]+)*[?!]?\z}
      private_constant :Named

      @lock = Mutex.new
      @named = {}.freeze

      class << self
        # @param name [String, Symbol]
        # @param handler_class [Class]
        # @param place [String] file:line; a later definition from the same place
        #   replaces this one, because its file was loaded again
        # @return [Class] the handler class
        def register(name, handler_class, place)
          name = name.to_s
          @lock.synchronize do
            others = @named.fetch(name, []).reject { |named| named.place == place || named.handler_class == handler_class }
            twice(name, others.last, place) if others.any?
            @named = @named.merge(name => [*others, Named.new(handler_class, place)].freeze).freeze
          end
          handler_class
        end

        # @param name [String]
        # @return [Class, nil]
        # @raise [HandlerError] when there is more than one
        def find(name)
          found = @named[name]
          return nil unless found
          return found.first.handler_class if found.one?

          raise HandlerError, "the handler #{name.inspect} is defined more than once, at #{found.map(&:place).join(" and at ")}; give each a name of its own"
        end

        # @return [Array<String>]
        def names = @named.keys

        # @param handler_class [Class]
        # @return [String, nil] file:line
        def place_of(handler_class)
          @named.each_value { |found| found.each { |named| return named.place if named.handler_class.equal?(handler_class) } }
          nil
        end

        # Tests put back what was registered before them.
        #
        # @api private
        # @return [Object] for {.restore}
        def remember = @named

        # @api private
        def restore(named)
          @named = named
        end

        private

        def twice(name, other, place)
          Tasker.logger.warn("#{place}: the handler #{name.inspect} is defined here, and at #{other.place} too; a template cannot use it")
        end
      end
    end
  end
end
