# frozen_string_literal: true

module Tasker
  module Host
    # What goes past $stdout and $stderr. What is written to STDOUT and STDERR goes the
    # same way as what is written to the variables. Children print into two pipes that Go
    # reads. C libraries still write to descriptors 1 and 2, and so does what reports a crash.
    module AllOutput
      STANDARD = { out: 1, err: 2, in: 0 }.freeze
      private_constant :STANDARD

      @pipes = nil

      class << self
        # @!visibility private
        # @param out [Output] @param err [Output]
        # @param out_pipe [Integer] descriptor @param err_pipe [Integer] descriptor
        def install(out, err, out_pipe, err_pipe)
          @pipes = { 1 => out_pipe, 2 => err_pipe }.freeze # no IOs, which a handler could close
          Host.children_print_to(out_pipe, err_pipe)
          STDOUT.extend(writing_to(out))
          STDERR.extend(writing_to(err))
        end

        # @!visibility private
        def caught? = !@pipes.nil? && !Host.forked?

        # Adds what a command does not redirect itself.
        #
        # @!visibility private
        # @param command [Array] the arguments of spawn, maybe with its options
        # @param options [Hash]
        # @return [Array] the same, redirected
        def redirect(command, options, streams = [1, 2])
          return [command, options] unless caught?

          *before, last = command
          last = Hash.try_convert(last) unless before.empty?
          command, options = before, { **last, **options } if last.is_a?(Hash) && !before.empty?
          own = streams - options.keys.flatten.map { |key| number(key) }
          options = options.to_h { |key, value| [key, names_descriptors?(key) ? pipe_of(value) : value] }
          [command, { **@pipes.slice(*own), **options }]
        end

        # The same for IO.popen, whose program may be an Array with options of its own.
        #
        # @!visibility private
        def redirect_popen(command, options)
          return [command, options] unless caught?

          program, mode = command.grep_v(Hash)
          inner = program.is_a?(Array) ? Hash.try_convert(program.last) : nil
          streams = writes_only?(options.fetch(:mode, mode)) ? [1, 2] : [2]
          redirect(command, options, streams - (inner || {}).keys.flatten.map { |key| number(key) })
        end

        private

        # A module for STDOUT or STDERR.
        def writing_to(stream)
          Module.new do
            define_method(:write) { |*parts| Host.forked? ? super(*parts) : stream.write(*parts) }
            define_method(:syswrite) { |string| Host.forked? ? super(string) : stream.write(string) }
            define_method(:write_nonblock) { |string, **options| Host.forked? ? super(string, **options) : stream.write(string) }
          end
        end

        def writes_only?(mode)
          case mode
          when Integer then (mode & 3) == File::WRONLY
          when String then mode.start_with?("w", "a") && !mode.include?("+")
          else false
          end
        end

        # @return [Integer, nil] the descriptor that the object is for spawn
        def number(object)
          case object
          when Integer then object
          when Symbol then STANDARD[object]
          else IO.try_convert(object)&.fileno
          end
        rescue IOError # closed: spawn says so
          nil
        end

        def names_descriptors?(key) = [key].flatten.all? { |one| number(one) }

        # The host's own descriptors are not for children.
        def pipe_of(value) = @pipes.fetch(number(value), value)
      end
    end
  end
end
