# frozen_string_literal: true

module Tasker
  # A Hash with String keys that can also be read with Symbols. So can the hashes
  # inside it. +task.context+, +step.inputs+ and a handler's +config+ are Contexts.
  #
  # It is the handler's own copy. No other step sees the handler's changes, and
  # they are lost when the step has ended.
  #
  # @example
  #   task.context["customer"]["email"] == task.context[:customer][:email]
  #   task.context.dig(:items, 0, :sku)
  #   case task.context
  #   in { order_id: Integer => id, customer: { email: } } then remind(id, email)
  #   end
  class Context < Hash
    # @param value [Object]
    # @return [Object] the value, with every Hash in it, however deep, turned
    #   into a Context; the value itself does not change
    def self.wrap(value)
      case value
      when Context then value
      when Hash then new(value)
      when Array then value.map { |inner| wrap(inner) }
      else value
      end
    end

    # Turns a value from the JSON parser into a Context without copying it key by
    # key. Reading the task's context is most of the cost of a small step.
    #
    # @api private
    # @param parsed [Object] with String keys only; not to be used afterwards
    # @return [Object] the value, with every Hash in it turned into a Context
    def self.adopt(parsed)
      case parsed
      when Hash then allocate.__send__(:take, parsed)
      when Array
        parsed.map! { |inner| inner.is_a?(Hash) || inner.is_a?(Array) ? adopt(inner) : inner }
      else parsed
      end
    end

    # @param hash [Hash, nil] what to start with
    def initialize(hash = nil)
      super()
      update(hash) if hash
    end

    alias write_pair []=
    alias take_pairs replace
    private :write_pair, :take_pairs

    # @return [Object] the value
    def []=(key, value)
      key = key.name if key.is_a?(Symbol)
      write_pair(key, plain_inside?(value) ? Context.wrap(value) : value)
    end
    alias store []=

    def [](key)
      super(key.is_a?(Symbol) ? key.name : key)
    end

    def fetch(key, *default, &block)
      super(key.is_a?(Symbol) ? key.name : key, *default, &block)
    end

    def dig(key, *rest)
      super(key.is_a?(Symbol) ? key.name : key, *rest)
    end

    def key?(key)
      super(key.is_a?(Symbol) ? key.name : key)
    end
    alias has_key? key?
    alias include? key?
    alias member? key?

    def delete(key, &block)
      super(key.is_a?(Symbol) ? key.name : key, &block)
    end

    def assoc(key)
      super(key.is_a?(Symbol) ? key.name : key)
    end

    def values_at(*keys)
      super(*names(keys))
    end

    def fetch_values(*keys, &block)
      super(*names(keys), &block)
    end

    # @return [Context] with the given keys only
    def slice(*keys)
      Context.new(super(*names(keys)))
    end

    # @return [Context] without the given keys
    def except(*keys)
      Context.new(super(*names(keys)))
    end

    # @param others [Array<Hash>]
    # @yieldparam key [String] a key that both have
    # @yieldparam old [Object]
    # @yieldparam new [Object]
    # @return [self]
    def update(*others)
      others.each do |other|
        other.to_hash.each_pair do |key, value|
          key = key.name if key.is_a?(Symbol)
          value = yield(key, self[key], value) if block_given? && key?(key)
          self[key] = value
        end
      end
      self
    end
    alias merge! update

    # @return [Context]
    def merge(*others, &block)
      dup.update(*others, &block)
    end

    def replace(other)
      clear
      update(other)
    end

    def select(&block)
      block ? Context.new(super) : super
    end
    alias filter select

    def reject(&block)
      block ? Context.new(super) : super
    end

    def compact
      Context.new(super)
    end

    def transform_values(&block)
      block ? Context.new(super) : super
    end

    # @return [Hash] a plain Hash with String keys, at every level
    def to_hash
      plain(self)
    end

    # @return [Hash] like {#to_hash}; with a block, like Hash#to_h
    def to_h(&block)
      block ? super : to_hash
    end

    # @return [Hash] a plain Hash with Symbol keys; the values do not change
    def symbolize_keys
      to_h { |key, value| [symbol(key), value] }
    end

    # @return [Hash] a plain Hash with Symbol keys, at every level
    def deep_symbolize_keys
      symbolized(self)
    end

    # @return [self] for code written for ActiveSupport
    def with_indifferent_access
      self
    end

    # YAML writes it as a plain mapping.
    def encode_with(coder)
      coder.represent_map(nil, to_hash)
    end

    private

    def take(parsed)
      take_pairs(parsed)
      parsed.each_pair do |key, value|
        write_pair(key, Context.adopt(value)) if value.is_a?(Hash) || value.is_a?(Array)
      end
      self
    end

    def plain_inside?(value)
      case value
      when Context then false
      when Hash then true
      when Array then value.any? { |inner| plain_inside?(inner) }
      else false
      end
    end

    def names(keys)
      keys.map { |key| key.is_a?(Symbol) ? key.name : key }
    end

    def symbol(key)
      key.is_a?(String) ? key.to_sym : key
    end

    def plain(value)
      case value
      when Hash then value.each_pair.with_object({}) { |(key, inner), hash| hash[key] = plain(inner) }
      when Array then value.map { |inner| plain(inner) }
      else value
      end
    end

    def symbolized(value)
      case value
      when Hash then value.each_pair.with_object({}) { |(key, inner), hash| hash[symbol(key)] = symbolized(inner) }
      when Array then value.map { |inner| symbolized(inner) }
      else value
      end
    end
  end
end
