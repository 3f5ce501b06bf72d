# frozen_string_literal: true

module Tasker
  # The task handlers that registered themselves, by namespace, name and version.
  class HandlerFactory
    # @return [HandlerFactory]
    def self.instance = INSTANCE
    private_class_method :new

    def initialize
      @lock = Mutex.new
      clear!
    end

    # @param name [String, Symbol]
    # @param handler_class [Class, String]
    # @param replace [Boolean] whether another class may have the name already
    # @return [true]
    # @raise [ArgumentError] when another class has the name
    def register(name, handler_class, namespace_name: "default", version: "0.1.0", replace: false, **)
      key = key_of(namespace_name, name, version)
      @lock.synchronize do
        taken = @classes[key]
        unless taken.nil? || taken == handler_class || replace
          raise ArgumentError, "#{taken} is registered as #{words(key)} already; replace it with replace: true"
        end

        @classes = @classes.merge(key => handler_class.is_a?(Class) ? handler_class : handler_class.to_s).freeze
      end
      true
    end

    # @return [Object] a new instance of the class
    # @raise [ProceduralError] when there is none
    def get(name, namespace_name: "default", version: "0.1.0")
      key = key_of(namespace_name, name, version)
      found = @classes.fetch(key) { raise ProceduralError, "no task handler is registered as #{words(key)}" }
      found = constant(found) unless found.is_a?(Class)
      found.new
    end

    # @param namespace [String, Symbol, nil]
    # @return [Hash{Symbol => Hash}] of namespaces, of names, of versions; of one
    #   namespace the Hash of names
    def list_handlers(namespace: nil)
      all = @classes.each_with_object({}) do |((space, name, version), handler_class), list|
        ((list[space] ||= {})[name] ||= {})[version] = handler_class
      end
      namespace ? all.fetch(namespace.to_sym, {}) : all
    end
    alias handler_classes list_handlers
    alias all_items list_handlers

    # @return [Array<Symbol>]
    def registered_namespaces = ([:default] + @classes.keys.map(&:first)).uniq
    alias namespaces registered_namespaces

    # Forgets them all.
    #
    # @return [true]
    def clear!
      @classes = {}.freeze
      true
    end
    alias clear_all! clear!

    private

    def key_of(namespace, name, version) = [namespace.to_sym, name.to_sym, version.to_s]

    def words(key) = "#{key[0]}/#{key[1]} #{key[2]}"

    def constant(name)
      Object.const_get(name)
    rescue NameError => e
      raise ProceduralError, "the task handler #{name} cannot be found: #{e.message}"
    end

    INSTANCE = new
    private_constant :INSTANCE
  end
end
