# frozen_string_literal: true

require "json"

module Tasker
  # What differs between the versions of CRuby, and of the libraries that come with
  # it: this file knows all of it, and the rest of the Ruby half knows none. It asks
  # for what is there instead of comparing numbers, because a distribution or a
  # Gemfile may bring another json than Ruby does.
  #
  # @api private
  module RubyVersions
    # Frames of Ruby itself. From 3.1 to 3.4 ever more core methods are written in
    # Ruby, and so is the `require` of RubyGems and of bundled_gems.rb. An error of
    # these begins with such frames, and not with the line that called. The same holds
    # for the methods that the host has put in front of Ruby's, such as system.
    RUBYS_OWN = %r{\A<internal:|/bundled_gems\.rb:\d|/tasker/host/(?:children|leftovers)\.rb:\d}.freeze

    # json before 2.13 lets the last of two equal keys win, without asking. Later
    # versions warn, and json 3 raises. It also refuses comments and needless escapes,
    # which json 2 reads. Each of these options asks for what json 2.6 does. json 3
    # refuses options that it does not know, and versions before ignore them.
    PARSING = { allow_duplicate_key: true, allow_comments: true, allow_invalid_escape: true }.select do |option, value|
      JSON.parse("{}", option => value)
    rescue ArgumentError
      false
    end.freeze
    WRITING = PARSING.slice(:allow_duplicate_key).freeze

    # The module of the to_json that json gives to every object. json 3 has renamed it.
    TO_JSON_OF_ALL = Object.instance_method(:to_json).owner
    # The modules whose as_json is ActiveSupport's.
    AS_JSON_OF_ALL = [Object, Kernel, Enumerable, *(Data if defined?(Data.define))].freeze
    PUBLIC_METHOD = ::Kernel.instance_method(:public_method)
    CLASS = ::Kernel.instance_method(:class)
    DELEGATE_FILE = -> { ::Delegator.instance_method(:method_missing).source_location.first }

    # Constants that Ruby's library leaves to autoload, and that other code may name.
    # json has GenericObject there from 2.7 to 2.x; json 3 has none.
    AUTOLOADS = [[Object, :IPAddr], [Object, :IPSocket], [JSON, :GenericObject]].freeze
    # What the file of such a constant requires, and does without at its cost.
    NEEDED_BY = { GenericObject: "ostruct" }.freeze

    # The bytes of CRuby's smallest slots. 3.2 has renamed it.
    BASE_SLOT = GC::INTERNAL_CONSTANTS.fetch(:BASE_SLOT_SIZE) { GC::INTERNAL_CONSTANTS.fetch(:RVALUE_SIZE) }
    private_constant :RUBYS_OWN, :PARSING, :WRITING, :TO_JSON_OF_ALL, :AS_JSON_OF_ALL, :PUBLIC_METHOD, :CLASS, :DELEGATE_FILE, :AUTOLOADS, :NEEDED_BY

    class << self
      # Requires a feature of Ruby's library that we need ourselves. Ever more of these
      # are bundled gems: bigdecimal and base64 since 3.4, logger, ostruct and benchmark
      # since 4.0. Bundler hides those that the Gemfile does not name. Then the gem's
      # folders go to the end of the load path, behind all that the Gemfile names, and
      # RubyGems does not activate the gem. So the Gemfile's own version always wins.
      #
      # @param feature [String] with the name of its gem
      # @yield to load it in another way: by naming its constant, when that is left to
      #   autoload
      # @raise [LoadError] when Ruby has it neither as a library nor as a gem
      # @return [nil]
      def library(feature, &loading)
        loading ||= -> { require feature }
        without_warning(feature, &loading)
        nil
      rescue LoadError => e
        raise unless e.path == feature && add_bundled_gem(feature)

        without_warning(feature, &loading)
        nil
      end

      # Like {.library}, for what is loaded because a handler may name it.
      #
      # @return [Boolean] false when Ruby does not have it
      def library?(feature, &loading)
        library(feature, &loading)
        true
      rescue LoadError
        false
      end

      # Loads the autoloads of Ruby's library.
      #
      # @return [nil]
      def resolve_autoloads
        AUTOLOADS.each do |namespace, name|
          next unless namespace.autoload?(name, false)
          next if NEEDED_BY.key?(name) && !library?(NEEDED_BY[name])

          without_warning(NEEDED_BY[name]) { namespace.const_get(name, false) }
        end
        nil
      end

      # Refuses a library whose older versions cannot work with ours. What is between
      # old and new is asked of the library itself.
      #
      # @raise [LoadError]
      # @return [nil]
      def refuse_before(oldest, library, version, by:)
        return if version >= ::Gem::Version.new(oldest)

        raise LoadError, "#{by} needs #{library} #{oldest} or later, and this is #{version}; name a newer one in the Gemfile"
      end

      # Parses JSON alike with every version of json.
      #
      # @param text [String]
      # @param max_nesting [Integer, false]
      def parse_json(text, max_nesting: 100)
        JSON.parse(text, max_nesting: max_nesting, **PARSING)
      end

      # Writes JSON alike with every version of json. UTF-8 in a String in binary
      # encoding is text to json 2, the later versions of which warn. json 3 raises.
      #
      # @param value [Object]
      # @param max_nesting [Integer]
      # @return [String]
      def generate_json(value, max_nesting: 100)
        value = as_text(value, max_nesting) if binary?(value, max_nesting)
        JSON.generate(value, max_nesting: max_nesting, **WRITING)
      end

      # ActiveSupport gives every object a to_json, which asks as_json.
      #
      # @return [Boolean] whether the object's class has a to_json of its own
      def own_to_json?(value)
        owner = own(value, :to_json)&.owner
        !owner.nil? && owner != TO_JSON_OF_ALL && owner.name != "ActiveSupport::ToJsonWithActiveSupportEncoder"
      end

      # ActiveSupport gives every object an as_json, which shows all its instance variables:
      # also a password. Its as_json of a collection asks that of every element.
      #
      # @return [Boolean] whether the object's class has an as_json of its own
      def own_as_json?(value)
        owner = own(value, :as_json)&.owner
        !owner.nil? && !AS_JSON_OF_ALL.include?(owner)
      end

      # @return [Boolean] whether the object has ActiveSupport's as_json of every Enumerable
      def only_enumerable?(value)
        own(value, :as_json)&.owner == Enumerable
      end

      # The method, if the object has it itself. The `method` of Ruby also finds one that
      # method_missing answers, as that of a delegator does, and says that the delegator's
      # class has it. DelegateClass even defines the methods of the other class.
      #
      # @return [Method, nil]
      def own(value, name)
        method = PUBLIC_METHOD.bind_call(value, name)
        there = method.owner.public_method_defined?(name) || CLASS.bind_call(value).public_method_defined?(name)
        return there ? method : behind_proxy(value, name) unless delegator?(value)

        method if there && method.source_location&.first != DELEGATE_FILE.call
      rescue NameError
        nil
      end

      # @return [Boolean]
      def delegator?(value)
        defined?(::Delegator) ? ::Delegator === value : false # is_a? may be delegated, too
      end

      # The bytes of CRuby's slots, by size. Until 3.1 there is one size. Since 3.2 there
      # are pools of several, but 3.2 says of each only how many slots its pages have.
      #
      # @param stat [Hash] from GC.stat
      # @param pools [Hash] from {.stat_pools}
      # @return [Hash{Integer => Integer}] size of a slot to live slots, or all slots
      def slots_by_size(stat, pools)
        return { BASE_SLOT => stat[:heap_live_slots] } if pools.empty?

        pools.to_h do |_, pool|
          live = pool[:heap_live_slots]
          live ||= pool[:total_allocated_objects] - pool[:total_freed_objects] if pool.key?(:total_freed_objects)
          [pool[:slot_size], live || pool[:heap_eden_slots]]
        end
      end

      # Fills a Hash with what CRuby says of each pool. The second time it allocates
      # nothing.
      #
      # @param pools [Hash]
      # @return [Hash] the same; empty with 3.1
      def stat_pools(pools)
        GC.respond_to?(:stat_heap) ? GC.stat_heap(nil, pools) : pools
      end

      # @param lines [Array<String>] of a backtrace
      # @return [Array<String>] from the first line on that is not Ruby's own
      def backtrace(lines)
        first = lines.index { |line| !RUBYS_OWN.match?(line.to_s) } || 0
        first.zero? ? lines : lines.drop(first)
      end

      # bigdecimal before 3.1 has no n_significant_digits.
      #
      # @param number [BigDecimal]
      # @return [Integer]
      def significant_digits(number)
        number.respond_to?(:n_significant_digits) ? number.n_significant_digits : number.precs.first
      end

      # Without the additions of did_you_mean and error_highlight. Ruby before 3.4
      # puts them into the message itself.
      #
      # @param error [Exception]
      # @return [String]
      def original_message(error)
        (error.respond_to?(:original_message) ? error.original_message : error.message).to_s
      end

      # What Ruby prints of an exception without a backtrace, such as the SyntaxError
      # of the program. From 3.2 on this is the program's name and the detailed message.
      #
      # @param error [Exception]
      # @param highlight [Boolean]
      # @return [String]
      def message_alone(error, highlight)
        return "#{error.message}\n" unless error.respond_to?(:detailed_message)

        "#{$0}: #{error.detailed_message(highlight: highlight)}\n"
      end

      private

      # A proxy that passes everything on also passes on the question for the method.
      def behind_proxy(value, name)
        method = value.public_method(name)
        method if method.owner.public_method_defined?(name)
      rescue ArgumentError, NameError
        nil
      end

      # Under Bundler, Ruby 3.3 and later warn when a gem is required that the Gemfile
      # does not name, and that is or will be a bundled gem. The user did not require it.
      def without_warning(gem)
        warned = ::Gem::BUNDLED_GEMS::WARNED if defined?(::Gem::BUNDLED_GEMS::WARNED)
        return yield if gem.nil? || warned.nil? || warned.frozen? || warned.key?(gem)

        begin
          warned[gem] = true
          yield
        ensure
          warned.delete(gem)
        end
      end

      def add_bundled_gem(name)
        paths = bundled_gem(name)&.full_require_paths.to_a - $LOAD_PATH
        $LOAD_PATH.concat(paths)
        paths.any?
      end

      # The gem as Ruby has installed it. Bundler's RubyGems would not find it, so this
      # reads the specification from where Ruby keeps it: beside those of the default
      # gems, or in a folder of the distribution.
      def bundled_gem(name)
        return unless defined?(::Gem::Specification) && ::Gem.respond_to?(:default_specifications_dir)

        folders = [File.dirname(::Gem.default_specifications_dir), *::Gem.default_path.map { |path| File.join(path, "specifications") }]
        folders.each do |folder|
          files = Dir.glob("#{name}-[0-9]*.gemspec", base: folder)
          newest = files.filter_map { |file| ::Gem::Specification.load(File.join(folder, file)) }.max_by(&:version)
          return newest if newest
        end
        nil
      end

      # @return [Boolean] whether the value holds such a String. It copies nothing.
      def binary?(value, depth)
        return false if depth.negative?

        case value
        when String then value.encoding == Encoding::BINARY && !value.ascii_only?
        when Hash then value.any? { |key, inner| binary?(key, depth) || binary?(inner, depth - 1) }
        when Array then value.any? { |inner| binary?(inner, depth - 1) }
        else false
        end
      end

      def as_text(value, depth)
        return value if depth.negative?

        case value
        when String then text_of(value)
        when Hash then value.to_h { |key, inner| [as_text(key, depth), as_text(inner, depth - 1)] }
        when Array then value.map { |inner| as_text(inner, depth - 1) }
        else value
        end
      end

      def text_of(string)
        return string unless string.encoding == Encoding::BINARY

        text = string.dup.force_encoding(Encoding::UTF_8)
        text.valid_encoding? ? text : string
      end
    end
  end
end
