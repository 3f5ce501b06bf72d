# frozen_string_literal: true

require "monitor"

module Tasker
  # Stand-ins for other programs' names.
  module Compat
    # What tasker/compat/rails is made of.
    module RailsParts
      # Keeps values in the memory of this process. A restart empties it, and other
      # processes do not see it. When it is full, the values that were not read for the
      # longest time make room. What is read is a copy.
      class Cache
        # How many bytes it holds, and the largest value that it keeps.
        CAPACITY = 16 * 1024 * 1024
        VALUE_BYTES = 1024 * 1024
        # Options that are taken, and change nothing in one process's memory.
        IGNORED = %i[race_condition_ttl compress compress_threshold raw version].freeze
        # For the overhead of an entry, so that many small ones fill it too.
        ENTRY_BYTES = 200
        Entry = Struct.new(:text, :expires_at)
        private_constant :IGNORED, :ENTRY_BYTES, :Entry

        # @param capacity [Integer] bytes
        def initialize(capacity: CAPACITY)
          @capacity = capacity
          @lock = Monitor.new
          @entries = {} # in the order of their last use
          @bytes = 0
        end

        # @param name [Object] a String, or anything that {#key} turns into one
        # @return [Object, nil]
        def read(name, **options)
          check(options)
          entry = @lock.synchronize { find(key(name)) }
          entry && Marshal.load(entry.text) # rubocop:disable Security/MarshalLoad
        end

        # @param name [Object]
        # @param value [Object] that Marshal can write
        # @param expires_in [Numeric, nil] seconds
        # @param expires_at [Time, nil]
        # @return [Boolean] false when the value is too large to be kept
        def write(name, value, expires_in: nil, expires_at: nil, **options)
          check(options)
          text = Marshal.dump(value)
          name = key(name)
          expires_at ||= Time.now + expires_in.to_f if expires_in
          @lock.synchronize do
            remove(name)
            next false if text.bytesize > [VALUE_BYTES, @capacity].min

            add(name, Entry.new(text, expires_at))
          end
        end

        # Reads a value, or writes the one that the block returns.
        #
        # @param force [Boolean] whether to write in any case
        # @param skip_nil [Boolean] whether not to write nil
        # @yieldparam name [Object]
        # @yieldreturn [Object]
        # @return [Object]
        def fetch(name, force: false, skip_nil: false, **options)
          entry = @lock.synchronize { find(key(name)) } unless force && block_given?
          return Marshal.load(entry.text) if entry # rubocop:disable Security/MarshalLoad
          return read(name) unless block_given?

          value = yield(name)
          write(name, value, **options) unless value.nil? && skip_nil
          value
        end

        # @return [Boolean] whether there was one
        def delete(name, **options)
          check(options)
          @lock.synchronize { !remove(key(name)).nil? }
        end

        # @return [Boolean]
        def exist?(name, **options)
          check(options)
          @lock.synchronize { !find(key(name)).nil? }
        end

        # @param pattern [Regexp]
        # @return [nil]
        def delete_matched(pattern)
          @lock.synchronize { @entries.keys.grep(pattern).each { |name| remove(name) } }
          nil
        end

        # @return [nil]
        def clear(**)
          @lock.synchronize do
            @entries.clear
            @bytes = 0
          end
          nil
        end

        # @return [Integer] the new value; a missing one counts as 0
        def increment(name, amount = 1, **options)
          @lock.synchronize { (read(name).to_i + amount).tap { |value| write(name, value, **options) } }
        end

        # @return [Integer] see {#increment}
        def decrement(name, amount = 1, **options) = increment(name, -amount, **options)

        # @return [Hash] of those that are there
        def read_multi(*names)
          names.select { |name| exist?(name) }.to_h { |name| [name, read(name)] }
        end

        # @param values [Hash]
        # @return [nil]
        def write_multi(values, **options)
          values.each { |name, value| write(name, value, **options) }
          nil
        end

        # @return [Hash] see {#fetch}
        def fetch_multi(*names, **options, &block)
          names.to_h { |name| [name, fetch(name, **options, &block)] }
        end

        def inspect = "#<#{self.class} #{@entries.size} entries, #{@bytes} bytes>"

        private

        def key(name)
          case name
          when Array then name.map { |part| key(part) }.join("/")
          when Hash then name.map { |k, v| "#{k}=#{v}" }.sort.join("/")
          else name.respond_to?(:cache_key) ? name.cache_key : name.to_s
          end
        end

        def check(options)
          unknown = options.keys - IGNORED
          raise ArgumentError, "Rails.cache of tasker/compat/rails does not know the option #{unknown.first}:" if unknown.any?
        end

        def find(name)
          entry = remove(name)
          return if entry.nil? || (entry.expires_at && entry.expires_at <= Time.now)

          add(name, entry)
          entry
        end

        def add(name, entry)
          @entries[name] = entry
          @bytes += size(name, entry)
          remove(@entries.first.first) while @bytes > @capacity
          true
        end

        def remove(name)
          entry = @entries.delete(name)
          @bytes -= size(name, entry) if entry
          entry
        end

        def size(name, entry) = name.bytesize + entry.text.bytesize + ENTRY_BYTES
      end
    end
  end
end
