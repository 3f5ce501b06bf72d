# frozen_string_literal: true

require_relative "absent_names"

module Tasker
  # Says what to do about an error whose cause is known: a handler uses something that
  # Rails, a gem or a newer Ruby has.
  #
  # @api private
  module Hints
    ACTIVE_SUPPORT = 'require "active_support/all" in a handler file, or give --require active_support/all'
    LAYER = 'require "tasker/compat/tasker_core" in a handler file, or give --require tasker/compat/tasker_core'
    RAILS = 'require "tasker/compat/rails" in a handler file, or give --require tasker/compat/rails'
    private_constant :ACTIVE_SUPPORT, :LAYER, :RAILS

    # Methods of ActiveSupport, by the class of the object that they were called on.
    METHODS = {
      BasicObject => %i[blank? present? presence presence_in try try! in? deep_dup to_query html_safe],
      Hash => %i[deep_symbolize_keys deep_stringify_keys symbolize_keys symbolize_keys! stringify_keys stringify_keys! with_indifferent_access deep_merge
                 deep_merge! reverse_merge reverse_merge! deep_transform_keys deep_transform_values assert_valid_keys extract! compact_blank],
      Enumerable => %i[index_by index_with pluck pick many? exclude? including excluding without in_groups_of in_groups compact_blank sole in_order_of],
      Array => %i[to_sentence second third from to],
      String => %i[squish titleize camelize underscore constantize safe_constantize demodulize humanize parameterize pluralize singularize truncate classify
                   tableize dasherize starts_with? ends_with? remove to_date to_time to_datetime in_time_zone first last at from to exclude?],
      Numeric => %i[second seconds minute minutes hour hours day days week weeks fortnight fortnights month months year years kilobyte kilobytes megabyte
                    megabytes gigabyte gigabytes ordinalize ordinal to_fs],
      Time => %i[ago since in_time_zone to_fs advance change yesterday tomorrow yesterday? tomorrow? today? past? future? beginning_of_day end_of_day
                 beginning_of_hour beginning_of_week end_of_week beginning_of_month end_of_month beginning_of_year end_of_year weeks_ago days_ago months_ago
                 years_ago next_day prev_day next_week next_month all_day],
      Date => %i[ago since in_time_zone to_fs advance change yesterday tomorrow yesterday? tomorrow? today? past? future? beginning_of_day end_of_day
                 beginning_of_week end_of_week beginning_of_month end_of_month beginning_of_year end_of_year weeks_ago days_ago months_ago years_ago next_week
                 prev_week all_day],
      Module => %i[delegate mattr_accessor cattr_accessor class_attribute module_parent concerning]
    }.freeze
    # Those whose names are no other library's, nor likely to be a handler's own.
    CERTAIN = [*METHODS[BasicObject], *METHODS[Hash], *METHODS[Enumerable].grep(/index_|_blank|exclud|in_groups/),
               *METHODS[String].grep(/ize\z|squish|camel|underscore|_case|constant/), *METHODS[Time].grep(/beginning|end_of|_zone|weeks_|days_|months_|years_/),
               :from_now].uniq.freeze
    # Methods of ActiveSupport for Time and Date themselves.
    CLOCKS = %i[current zone yesterday tomorrow find_zone use_zone].freeze

    CONSTANTS = {
      TaskerCore: LAYER, Rails: RAILS, ActiveSupport: ACTIVE_SUPPORT, HashWithIndifferentAccess: ACTIVE_SUPPORT,
      ActiveRecord: 'require "tasker/active_record" in a handler file, or give --require tasker/active_record',
      ApplicationRecord: 'it is a class of a Rails application; define it: class ApplicationRecord < ActiveRecord::Base, after require "tasker/active_record"',
      ActiveModel: 'it is of the gem activemodel: require "active_model"',
      ApplicationController: "it is a class of a Rails application, which tasker-rb does not run; keep the file out of the handlers folder",
      Dry: "it is of a gem such as dry-struct: name the gem in the Gemfile, and require it",
      Faraday: "it is of the gem faraday: install it, and require it"
    }.freeze

    # The parts of Ruby's own library that nothing loads by itself, by the constant that a
    # handler names. Those in {GEMS} are gems, in the Ruby of that version and since.
    LIBRARY = {
      Abbrev: "abbrev", CSV: "csv", Coverage: "coverage", DRb: "drb", English: "English", Fiddle: "fiddle", Find: "find", Forwardable: "forwardable",
      GetoptLong: "getoptlong", IPAddr: "ipaddr", Matrix: "matrix", Net: "net/http", Observable: "observer", Observer: "observer",
      Open3: "open3", OpenSSL: "openssl", OpenURI: "open-uri", OptionParser: "optparse", PP: "pp", PStore: "pstore", PTY: "pty", Prime: "prime",
      Psych: "yaml", REXML: "rexml/document", Readline: "readline", Resolv: "resolv", Ripper: "ripper", Shellwords: "shellwords",
      SimpleDelegator: "delegate", StringIO: "stringio", StringScanner: "strscan", TSort: "tsort", Tmpdir: "tmpdir", Vector: "matrix",
      WeakRef: "weakref", YAML: "yaml", Zlib: "zlib"
    }.freeze
    GEMS = { "matrix" => "3.1", "prime" => "3.1", "rexml/document" => "3.0", "abbrev" => "3.4", "csv" => "3.4", "drb" => "3.4", "getoptlong" => "3.4",
             "observer" => "3.4", "fiddle" => "4.0", "pstore" => "4.0", "readline" => "4.0" }.freeze

    FEATURES = {
      "tasker_core" => LAYER, "tasker_core/step_handler" => LAYER,
      "tasker-rb" => LAYER, "rails" => RAILS, "rails/all" => RAILS, "tasker-engine" => "tasker-rb provides the classes of tasker-engine; leave the line out",
      "tasker_engine" => "tasker-rb provides the classes of tasker-engine; leave the line out", "tasker/engine" => "tasker-rb provides the classes of tasker-engine; leave the line out",
      "active_support" => "install the gem activesupport", "active_support/all" => "install the gem activesupport",
      "active_record" => "install the gem activerecord"
    }.freeze

    ANONYMOUS = /[(,\[]\s*\*\*?\s*[,)\]]/
    # The end of a line whose next one is refused: an anonymous * or ** is the last argument.
    ANONYMOUS_LAST = /(?:\A|[(,\[])\s*\*\*?\s*\z/
    # The methods of a Hash that a step does not have.
    READERS = %i[[] dig fetch].freeze
    NO_POOL = /\ANo (database )?connection (pool for|defined)/
    NO_DATABASE = /\ANo database associated with /
    private_constant :READERS, :NO_POOL, :NO_DATABASE, :METHODS, :CERTAIN, :CLOCKS, :CONSTANTS, :LIBRARY, :GEMS, :FEATURES, :ANONYMOUS, :ANONYMOUS_LAST

    class << self
      # @param error [Exception]
      # @param ruby [String] the version that runs
      # @return [String, nil]
      def of(error, ruby: RUBY_VERSION)
        case error
        when NoMethodError then MissedStep.noted(error) || of_method(error)
        when KeyError, TypeError then MissedStep.noted(error)
        when NameError then of_constant(error, ruby)
        when LoadError then FEATURES[error.path.to_s]
        when SyntaxError then of_syntax(error, ruby)
        else of_active_record(error) || of_sequel(error)
        end
      end

      # @param name [String] a constant that is not defined, such as "Rails" or
      #   "Tasker::WorkflowStep"
      # @return [String, nil]
      def of_name(name, ruby: RUBY_VERSION)
        root = name.delete_prefix("::")[/\A\w+/].to_sym
        return known_constant(root, ruby) unless %i[Tasker TaskerCore].include?(root)
        return LAYER if root == :TaskerCore && !Execution::Entry.layer

        AbsentNames.constant(name)
      end

      # @param name [String] a method that no loaded class has
      # @return [String, nil] when it can only be ActiveSupport's
      def of_unknown_method(name)
        "it is a method of ActiveSupport: #{ACTIVE_SUPPORT}" if CERTAIN.include?(name.to_sym)
      end

      # @param name [String]
      # @return [Boolean] whether one of Ruby's own classes has the method, because
      #   ActiveSupport is loaded
      def there?(name)
        METHODS.any? { |kind, names| names.include?(name.to_sym) && kind.method_defined?(name) } || Numeric.method_defined?(name)
      end

      # @return [Array<Symbol>] the names that {.of_unknown_method} knows
      def certain = CERTAIN

      # @param name [String] a method of a number, or of Time, Date or DateTime
      # @param receiver [Object]
      # @return [String, nil]
      def of_call(receiver, name)
        clock = [Time, Date, DateTime].include?(receiver) && CLOCKS.include?(name.to_sym)
        return unless clock || (receiver.is_a?(Numeric) && METHODS[Numeric].include?(name.to_sym))

        "it is a method of ActiveSupport: #{ACTIVE_SUPPORT}"
      end

      private

      def of_method(error)
        receiver = error.receiver
        return "tasker/compat/rails has no Rails.#{error.name}" if stand_in?(receiver)
        return of_step(error) if receiver.is_a?(Step) && READERS.include?(error.name)

        clock = [Time, Date, DateTime].include?(receiver) && CLOCKS.include?(error.name)
        known = clock || METHODS.any? { |kind, names| kind === receiver && names.include?(error.name) } # rubocop:disable Style/CaseEquality
        "#{"#{receiver}." if clock}#{error.name} is a method of ActiveSupport: #{ACTIVE_SUPPORT}" if known
      rescue ArgumentError
        nil # the error has no receiver
      end

      # The method is one of a Hash, and the step's results are meant.
      def of_step(error)
        step = error.receiver
        name = step.instance_variable_get(:@name) # none if it is the step that runs
        found = name ? "sequence[#{name.inspect}]" : "step"
        key = error.args.first || "name"
        read = error.name == :[] ? "[#{key.to_s.inspect}]" : ".#{error.name}(#{key.to_s.inspect})"
        "a step has no #{error.name}: its results have, as in #{found}.results#{read}"
      end

      # Rails connects by itself, and nothing else does.
      def of_active_record(error)
        return unless defined?(::ActiveRecord::ConnectionNotEstablished) && error.is_a?(::ActiveRecord::ConnectionNotEstablished) && error.message.match?(NO_POOL)

        'require "tasker/active_record" in a handler file, and then write ActiveRecord::Base.establish_connection adapter: "tasker"'
      end

      # Sequel::Model takes the database that was connected first. A model asks it for its
      # columns while its file is loaded.
      def of_sequel(error)
        return unless defined?(::Sequel::Error) && error.is_a?(::Sequel::Error) && error.message.match?(NO_DATABASE)

        'require "tasker/sequel", and then write Sequel::Model.db = Tasker.sequel, in a file that the files of models require'
      end

      def stand_in?(receiver)
        defined?(Compat::RailsParts) && receiver.equal?(::Rails)
      end

      def of_constant(error, ruby)
        name = error.name&.to_sym # a String, if no code has this name
        known = known_constant(name, ruby)
        return known if known

        scope = scope_of(error)
        return AbsentNames.constant("#{scope}::#{name}") if scope&.match?(/\ATasker\b/)
        return unless scope&.match?(/\ATaskerCore\b/)
        return LAYER unless Execution::Entry.layer

        ["tasker/compat/tasker_core has no #{scope}::#{name}", AbsentNames.constant("#{scope}::#{name}")].compact.join(": ")
      end

      def known_constant(name, ruby)
        return older_than("3.2", ruby, "the class Data") if name == :Data

        CONSTANTS[name] || (LIBRARY[name] && of_library(LIBRARY[name]))
      end

      def of_library(feature)
        gem = GEMS[feature]
        "it is of Ruby's library: require \"#{feature}\"#{"; since Ruby #{gem} it is a gem, which a Gemfile has to name" if gem}"
      end

      def scope_of(error)
        receiver = error.receiver
        Module.instance_method(:name).bind_call(receiver) if Module === receiver # rubocop:disable Style/CaseEquality
      rescue ArgumentError
        nil
      end

      def of_syntax(error, ruby)
        message = error.message.to_s
        older_than("3.2", ruby, "an anonymous * or ** as an argument") if message.match?(ANONYMOUS) || after_anonymous?(message)
      end

      # The parser shows the line with the parenthesis only.
      def after_anonymous?(message)
        message.scan(/^\s*(\S.*?):(\d+): syntax error, unexpected '\)'/).any? do |file, line|
          line.to_i > 1 && File.file?(file) && File.foreach(file).first(line.to_i - 1).last.to_s.chomp.match?(ANONYMOUS_LAST)
        end
      rescue SystemCallError, ArgumentError
        false
      end

      def older_than(needed, ruby, what)
        "#{what} needs Ruby #{needed}, and this is #{ruby}" if (ruby.split(".").map(&:to_i) <=> needed.split(".").map(&:to_i)).negative?
      end
    end
  end
end
