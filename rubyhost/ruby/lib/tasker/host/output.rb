# frozen_string_literal: true

require "logger"

module Tasker
  module Host
    # $stdout and $stderr inside the host. Whole lines go to Go's logger, with
    # the task, step and attempt of the thread that wrote them.
    class Output
      # The longest piece of one line that is logged at once, in bytes.
      MAX_LINE = 64 * 1024

      class << self
        # @return [Boolean] whether any thread may have an unfinished line
        attr_accessor :unfinished

        # Sends one record to Go's logger.
        #
        # @param level [String] debug, info, warn or error
        # @param message [String]
        # @param fields [Hash]
        def log(level, message, fields = nil)
          return STDERR.syswrite("#{text(message)}\n") if Host.forked?

          Host.log(Host.job_serial, JSON.generate([level, text(message), fields]))
        rescue JSON::GeneratorError, EncodingError
          Host.log(Host.job_serial, JSON.generate([level, text(message), { "fields" => text(fields.inspect) }]))
        end

        # @!visibility private
        def text(message)
          string = message.to_s
          string = string.encode(Encoding::UTF_8, invalid: :replace, undef: :replace) unless string.encoding == Encoding::UTF_8
          string.valid_encoding? ? string : string.scrub
        end
      end
      self.unfinished = false

      def initialize(level, real)
        @level = level
        @real = real
        @key = :"tasker_output_#{level}"
      end

      def write(*parts)
        return write_in_child(parts) if Host.forked?

        line = Thread.current.thread_variable_get(@key) || +"".b
        bytes = 0
        parts.each do |part|
          string = part.to_s
          bytes += string.bytesize
          line << string.b
        end
        while (at = line.index("\n") || (line.bytesize > MAX_LINE ? MAX_LINE : nil))
          emit(line.slice!(0..at))
        end
        keep(line)
        bytes
      end

      # Logs an unfinished line.
      def flush
        line = Thread.current.thread_variable_get(@key)
        return self unless line && !line.empty?

        Thread.current.thread_variable_set(@key, nil)
        emit(line)
        self
      end

      def <<(object)
        write(object)
        self
      end

      def print(*objects)
        objects = [$_] if objects.empty?
        write(*objects)
        nil
      end

      def puts(*objects)
        write(lines_of(objects))
        nil
      end

      def printf(format, *arguments)
        write(format(format, *arguments))
        nil
      end

      def putc(object)
        write(object.is_a?(Integer) ? (object & 255).chr : object.to_s[0])
        object
      end

      def p(*objects)
        objects.each { |object| puts(object.inspect) }
        objects.size > 1 ? objects : objects.first
      end

      def syswrite(string)
        write(string)
      end

      def write_nonblock(string, **)
        write(string)
      end

      # A handler cannot close the host's output.
      def close; end
      alias close_write close

      def closed?
        false
      end

      def sync
        true
      end

      def sync=(value); end

      def fsync
        0
      end

      def tty?
        false
      end
      alias isatty tty?

      def fileno
        @real.fileno
      end

      def to_io
        @real
      end

      def external_encoding
        Encoding::UTF_8
      end

      def set_encoding(*)
        self
      end

      def reopen(*)
        raise ForbiddenError.new("reopening #{@level == "info" ? "$stdout" : "$stderr"}", "assign the variable, or write to a file of your own")
      end

      private

      # In a child of this process, writes to the process's own output.
      def write_in_child(parts)
        parts.sum { |part| @real.syswrite(part.to_s) }
      end

      def keep(line)
        return if line.empty? && Thread.current.thread_variable_get(@key).nil?

        Output.unfinished = true unless line.empty?
        Thread.current.thread_variable_set(@key, line.empty? ? nil : line)
      end

      def emit(line)
        line = line.dup.force_encoding(Encoding::UTF_8).chomp
        Output.log(@level, line) unless line.empty?
      end

      def lines_of(objects)
        return "\n" if objects.empty?

        objects.flatten.map { |object| object.to_s.then { |s| s.end_with?("\n") ? s : "#{s}\n" } }.join
      end
    end

    # Tasker.logger inside the host: Ruby's Logger with Go's slog behind it.
    class Log < ::Logger
      LEVELS = %w[debug info warn error error info].freeze

      def initialize
        super(nil)
      end

      def add(severity, message = nil, progname = nil)
        severity ||= UNKNOWN
        return true if severity < level

        if message.nil?
          message = block_given? ? yield : progname
        end
        Output.log(LEVELS.fetch(severity, "info"), message.is_a?(String) ? message : message.inspect)
        true
      end
      alias log add

      def <<(message)
        Output.log("info", message.to_s.chomp)
        self
      end
    end
  end
end
