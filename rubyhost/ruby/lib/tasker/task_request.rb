# frozen_string_literal: true

module Tasker
  module Types
    # What a task is submitted with, for code that passes it around.
    class TaskRequest
      DEFAULTS = {
        namespace: "default", version: "0.1.0", status: "pending", initiator: "unknown", source_system: "unknown", reason: "unknown",
        complete: false, tags: [].freeze, bypass_steps: [].freeze
      }.freeze
      ATTRIBUTES = (%i[name context requested_at] + DEFAULTS.keys).freeze
      private_constant :DEFAULTS, :ATTRIBUTES

      # @return [String]
      attr_reader :name, :namespace, :version, :status, :initiator, :source_system, :reason
      # @return [Hash]
      attr_reader :context
      # @return [Boolean] whether it is done
      attr_reader :complete
      # @return [Array<String>]
      attr_reader :tags, :bypass_steps
      # @return [Time]
      attr_reader :requested_at

      # @param attributes [Hash] name: and context: are needed; unknown ones are left out
      # @raise [ArgumentError] when one is missing, or is of the wrong kind
      def initialize(attributes = {}, **more)
        given = attributes.to_h.merge(more).transform_keys(&:to_sym)
        values = DEFAULTS.merge(requested_at: Time.now, **given.slice(*ATTRIBUTES))
        check(values)
        values.each { |name, value| instance_variable_set(:"@#{name}", value) }
      end

      # @return [Hash{Symbol => Object}]
      def to_h = ATTRIBUTES.to_h { |name| [name, public_send(name)] }
      alias attributes to_h
      alias to_hash to_h

      # @return [TaskRequest] with other attributes
      def new(**changes) = self.class.new(to_h.merge(changes))

      def ==(other) = other.is_a?(TaskRequest) && other.to_h == to_h

      private

      KINDS = { name: String, context: Hash, namespace: String, version: String, status: String, initiator: String, source_system: String,
                reason: String, tags: Array, bypass_steps: Array }.freeze
      private_constant :KINDS

      def check(values)
        KINDS.each do |name, kind|
          value = values[name]
          next if value.is_a?(kind)

          raise ArgumentError, values.key?(name) ? "#{name}: has to be #{Article.of(kind)}, not #{value.inspect}" : "a task request needs #{name}:"
        end
      end
    end
  end
end
