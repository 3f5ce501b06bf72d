# frozen_string_literal: true

module Tasker
  module Execution
    # Turns an exception into plain values. It relies on none of the exception's
    # methods: each may raise, or return anything.
    #
    # @api private
    class ErrorReport
      # The limits: bytes of a message, lines of a backtrace, bytes of a line, and
      # causes in a row. The rest is cut, with a note.
      MESSAGE_BYTES = 64 * 1024
      LINE_BYTES = 4 * 1024
      FIRST_LINES = 400
      LAST_LINES = 100
      CAUSES = 16
      # Bytes of all messages and backtraces of the report.
      TEXT_BYTES = 2 * 1024 * 1024
      # The size limit of an Integer. Ruby takes seconds to write millions of digits.
      INTEGER_BITS = 435_412
      # The limits of the context.
      CONTEXT_DEPTH = 16
      CONTEXT_VALUES = 10_000
      CONTEXT_BYTES = 256 * 1024

      CLASS_OF = ::Kernel.instance_method(:class)
      KIND_OF = ::Kernel.instance_method(:is_a?)
      RESPONDS_TO = ::Kernel.instance_method(:respond_to?)
      NAME_OF = ::Module.instance_method(:name)
      HINTED = [::NoMethodError, ::NameError, ::KeyError, ::TypeError, ::LoadError, ::SyntaxError].freeze
      # A class that need not be there.
      HINTED_NAMES = %w[ActiveRecord::ConnectionNotEstablished ActiveRecord::ConnectionNotDefined Sequel::Error].freeze
      private_constant :HINTED, :HINTED_NAMES, :CLASS_OF, :KIND_OF, :RESPONDS_TO, :NAME_OF

      def initialize
        @seen = {}.compare_by_identity
        @values = 0
        @bytes = 0
        @room = TEXT_BYTES
      end

      # @param exception [Exception]
      # @return [Hash{String => Object}]
      def of(exception)
        @seen[exception] = true
        {
          "class" => class_name(exception),
          "ancestors" => ancestors(exception),
          "message" => message(exception),
          "backtrace" => backtrace(exception),
          "cause" => cause(exception),
          "retry_after" => retry_after(exception),
          "error_code" => error_code(exception),
          "context" => context(exception),
          "permanent" => permanent(exception)
        }
      end

      private

      # Calls a method of the exception, and once more if the interrupt of the call came
      # meanwhile. It is repeated each 100 ms, so it may come after code that did not see
      # the first one. A method that never returns ends with the next one.
      def answer(exception, question)
        exception.public_send(question)
      rescue Exception => e # rubocop:disable Lint/RescueException
        raise unless interrupt?(e)

        exception.public_send(question)
      end

      def interrupt?(exception) = defined?(Host::Interrupt) && KIND_OF.bind_call(exception, Host::Interrupt)

      # As answer; nil when it raises. This rescues Exception itself, because #message may
      # exhaust the stack or call exit.
      def ask(exception, question)
        answer(exception, question)
      rescue Exception # rubocop:disable Lint/RescueException
        nil
      end

      def ask_if_there(exception, question)
        ask(exception, question) if RESPONDS_TO.bind_call(exception, question)
      rescue Exception # rubocop:disable Lint/RescueException
        nil
      end

      def class_of(exception) = CLASS_OF.bind_call(exception)

      def name_of(klass)
        klass = klass.superclass until (name = NAME_OF.bind_call(klass))
        name
      end

      # A class without a name gets the name of its nearest named superclass.
      def class_name(exception) = name_of(class_of(exception))

      def ancestors(exception)
        names = []
        klass = class_of(exception)
        until klass == Exception
          klass = klass.superclass
          names << name_of(klass)
        end
        names.uniq
      end

      def message(exception)
        text = answer(exception, :message)
        text = no_message(text) unless KIND_OF.bind_call(text, String)
        fit(with_hint(text, exception), MESSAGE_BYTES)
      rescue Exception => e # rubocop:disable Lint/RescueException
        "(its message cannot be had: #{class_name(e)} was raised)"
      end

      # Only for classes of Ruby, ActiveRecord and Sequel, whose methods do what they say.
      def with_hint(text, exception)
        kind = class_of(exception)
        return text unless HINTED.include?(kind) || HINTED_NAMES.include?(NAME_OF.bind_call(kind))

        hint = Hints.of(exception)
        return text unless hint

        text.include?("\n") ? "#{text.chomp}\n#{hint}" : "#{text}; #{hint}"
      rescue Exception # rubocop:disable Lint/RescueException
        text
      end

      # The text instead of a message that is no String. It shows only a number or a
      # name, because #inspect of a large object takes long and cannot be interrupted.
      def no_message(text)
        return "" if text.nil?

        shown = " #{text.inspect}" if KIND_OF.bind_call(text, Symbol) || (KIND_OF.bind_call(text, Integer) && writable?(text))
        "(its message is #{Article.of(class_of(text))})#{shown}"
      end

      def backtrace(exception)
        lines = ask(exception, :backtrace)
        return [] unless KIND_OF.bind_call(lines, Array)

        excerpt(RubyVersions.backtrace(lines)).each_with_object([]) do |line, kept|
          return kept << "... the other lines are left out: the report is too large ..." if @room <= 0

          kept << fit(line.to_s, LINE_BYTES)
        end
      rescue Exception => e # rubocop:disable Lint/RescueException
        raise if interrupt?(e) # the host has the report made again

        []
      end

      def excerpt(lines)
        left_out = lines.size - FIRST_LINES - LAST_LINES
        return lines if left_out <= 0

        lines.first(FIRST_LINES) + ["... #{left_out} lines left out ..."] + lines.last(LAST_LINES)
      end

      def cause(exception)
        cause = ask(exception, :cause)
        return nil unless KIND_OF.bind_call(cause, Exception)
        return nil if @seen.key?(cause) || @seen.size >= CAUSES

        of(cause)
      rescue Exception # rubocop:disable Lint/RescueException
        nil
      end

      def retry_after(exception)
        wish = ask_if_there(exception, :retry_after)
        wish -= Time.now if KIND_OF.bind_call(wish, Time)
        seconds = Float(wish, exception: false)
        seconds if seconds&.finite? && seconds >= 0
      rescue Exception # rubocop:disable Lint/RescueException
        nil
      end

      def error_code(exception)
        code = ask_if_there(exception, :error_code)
        case code
        when String, Symbol then clean(code.to_s, LINE_BYTES)
        when Integer then code.to_s if writable?(code)
        end
      rescue Exception # rubocop:disable Lint/RescueException
        nil
      end

      def context(exception)
        context = ask_if_there(exception, :context)
        return nil unless KIND_OF.bind_call(context, Hash) && !context.empty?

        plain(context, 0)
      rescue Exception # rubocop:disable Lint/RescueException
        nil
      end

      def permanent(exception)
        KIND_OF.bind_call(exception, Permanent) || KIND_OF.bind_call(exception, SQLError::TransactionControl)
      rescue Exception # rubocop:disable Lint/RescueException
        false
      end

      # Returns a value that JSON and jsonb can hold. Other values are described in
      # words. A cycle ends at the limit of depth.
      def plain(value, depth)
        @values += 1
        return "(left out: the context is too large)" if @values > CONTEXT_VALUES || @bytes > CONTEXT_BYTES

        case value
        when nil, true, false then value
        when Integer then writable?(value) ? number(value) : in_words(value)
        when Float then value.finite? ? value : value.to_s
        when String then count(clean(value, MESSAGE_BYTES))
        when Symbol then count(clean(value.name, MESSAGE_BYTES))
        when Hash then plain_hash(value, depth)
        when Array then plain_array(value, depth)
        when Time then value.getutc.iso8601(6)
        else in_words(value)
        end
      end

      def plain_hash(hash, depth)
        return "(a Hash, nested too deep)" if depth >= CONTEXT_DEPTH

        room = CONTEXT_VALUES - @values + 1
        hash.first(room).to_h { |key, value| [key_name(key), plain(value, depth + 1)] }
      end

      def plain_array(array, depth)
        return "(an Array, nested too deep)" if depth >= CONTEXT_DEPTH

        array.first(CONTEXT_VALUES - @values + 1).map { |value| plain(value, depth + 1) }
      end

      def key_name(key)
        KIND_OF.bind_call(key, Numeric) ? in_words(key) : count(clean(key.to_s, LINE_BYTES))
      end

      def in_words(value)
        return "(#{Article.of(class_of(value))} with too many digits)" unless writable?(value)

        count(clean(value.respond_to?(:iso8601) ? value.iso8601 : value.to_s, LINE_BYTES))
      rescue Exception # rubocop:disable Lint/RescueException
        "(an object that cannot be described)"
      end

      # Whether a number has at most as many digits as a result may have.
      def writable?(value)
        case value
        when Integer then value.bit_length <= INTEGER_BITS
        when Rational then writable?(value.numerator) && writable?(value.denominator)
        when Complex then writable?(value.real) && writable?(value.imaginary)
        else true
        end
      end

      def number(value)
        @bytes += value.bit_length / 3
        value
      end

      # Cuts a text of a message or a backtrace, within the report's own limit.
      def fit(text, bytes)
        text = clean(text, [bytes, @room].min)
        @room -= text.bytesize
        text
      end

      def count(text)
        @bytes += text.bytesize
        text
      end

      # Returns the text in UTF-8, without NUL, in at most so many bytes.
      def clean(text, bytes)
        text = String.new(text) unless text.instance_of?(String)
        cut = text.bytesize > bytes
        note = "... (cut: #{text.bytesize} bytes in all)" if cut
        text = text.byteslice(0, bytes) if cut
        text = utf8(text)
        text = text.tr("\0", "\u{FFFD}") if text.include?("\0")
        cut ? "#{text}#{note}" : text
      end

      def utf8(text)
        case text.encoding
        when Encoding::UTF_8 then text.valid_encoding? ? text : text.scrub
        when Encoding::BINARY, Encoding::US_ASCII then text.dup.force_encoding(Encoding::UTF_8).scrub
        else text.encode(Encoding::UTF_8, invalid: :replace, undef: :replace)
        end
      rescue EncodingError
        text.dup.force_encoding(Encoding::UTF_8).scrub
      end
    end
  end
end
