# frozen_string_literal: true

require_relative "../ruby_versions"

Tasker::RubyVersions.library("logger")

module Tasker
  module Host
    # $stdout and $stderr inside the host. Whole lines go to Go's logger, with
    # the task, step and attempt of the thread that wrote them.
    class Output
      # The longest piece of one line that is logged at once, in bytes.
      MAX_LINE = 64 * 1024
      NEWLINE = "\n".b.freeze
      private_constant :NEWLINE

      class << self
        # @return [Boolean] whether any thread may have an unfinished line
        attr_accessor :unfinished

        # @!visibility private
        attr_writer :streams

        # Logs the unfinished lines of this thread, also when a handler has set
        # $stdout or $stderr to another object.
        def flush_all = @streams.each(&:flush)

        # Sends one record to Go's logger.
        #
        # @param level [String] debug, info, warn or error
        # @param message [String]
        # @param fields [Hash]
        def log(level, message, fields = nil)
          return STDERR.syswrite("#{text(message)}\n") if Host.forked?

          Host.log(Host.job_serial, RubyVersions.generate_json([level, text(message), fields]))
        rescue JSON::GeneratorError, EncodingError
          Host.log(Host.job_serial, RubyVersions.generate_json([level, text(message), { "fields" => text(fields.inspect) }]))
        end

        # @!visibility private
        def text(message)
          string = message.to_s
          string = string.encode(Encoding::UTF_8, invalid: :replace, undef: :replace) unless string.encoding == Encoding::UTF_8
          string.valid_encoding? ? string : string.scrub
        end
      end
      self.unfinished = false
      self.streams = [].freeze

      def initialize(level, real)
        @level = level
        @real = real
        @key = :"tasker_output_#{level}"
      end

      def write(*parts)
        return write_in_child(parts) if Host.forked?

        strings = parts.map { |part| part.to_s.b } # first of all: a to_s may print, too
        strings.each { |string| add(string) }
        strings.sum(&:bytesize)
      end

      # Logs an unfinished line.
      def flush
        emit(take)
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
        write(*lines_of(objects))
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
        @real.syswrite(parts.map { |part| part.to_s.b }.join)
      end

      # Adds bytes to the thread's unfinished line. It logs what is complete by then:
      # lines, and pieces of a line that is longer than MAX_LINE. Each byte is searched
      # and copied once. If logging is interrupted, the rest is dropped.
      def add(bytes)
        line = take
        at = 0
        newline = bytes.index(NEWLINE)
        while at < bytes.bytesize
          newline = bytes.index(NEWLINE, at) if newline && newline < at
          length = [(newline ? newline + 1 : bytes.bytesize) - at, MAX_LINE - line.bytesize].min
          line << bytes.byteslice(at, length)
          at += length
          line = log_complete(line)
        end
        keep(line)
      end

      # Logs the line if it is complete or full. Returns the unfinished line: a full
      # one leaves its last character if that is not whole.
      def log_complete(line)
        ended = line.getbyte(-1) == NEWLINE.ord
        return line unless ended || line.bytesize >= MAX_LINE

        whole = line.bytesize - (ended ? 0 : started(line))
        emit(line.byteslice(0, whole))
        line.byteslice(whole, MAX_LINE)
      end

      # @return [Integer] how many bytes of a UTF-8 character that is not whole the
      #   line ends with
      def started(line)
        (1..3).each do |count|
          byte = line.getbyte(-count)
          next if byte & 0xC0 == 0x80

          needed = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
          return needed > count ? count : 0
        end
        0
      end

      # Takes the thread's unfinished line, so that an interrupt leaves none behind.
      def take
        line = Thread.current.thread_variable_get(@key)
        Thread.current.thread_variable_set(@key, nil) if line
        line || +"".b
      end

      def keep(line)
        return if line.empty?

        Output.unfinished = true
        StepEnd.needed
        Thread.current.thread_variable_set(@key, line)
      end

      def emit(line)
        line = line.dup.force_encoding(Encoding::UTF_8).chomp
        Output.log(@level, line) unless line.empty?
      end

      # A long line is not copied to get its newline.
      def lines_of(objects)
        return ["\n"] if objects.empty?

        objects.flatten.flat_map { |object| object.to_s.then { |s| s.end_with?("\n") ? s : [s, "\n"] } }
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
