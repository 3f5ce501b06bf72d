# frozen_string_literal: true

module Tasker
  module Host
    # What goes past $stdout and $stderr. What is written to STDOUT and STDERR goes the
    # same way as what is written to the variables. Children print into two pipes that Go
    # reads. C libraries still write to descriptors 1 and 2, and so does what reports a crash.
    # A constant that is reopened leads where its new owner wants, with its children.
    module AllOutput
      STANDARD = { out: 1, err: 2, in: 0 }.freeze
      private_constant :STANDARD

      # What Ruby warns of. While $stderr is STDERR, Ruby writes it past that constant's methods.
      module ForWarning
        def warn(message, **)
          return super unless Lineage.main_ractor? && AllOutput.caught? && $stderr.equal?(STDERR) && message.is_a?(String)

          STDERR.write(message)
          nil
        end
      end

      @pipes = nil

      class << self
        # @!visibility private
        # @param out [Output] @param err [Output]
        # @param out_pipe [Integer] descriptor @param err_pipe [Integer] descriptor
        def install(out, err, out_pipe, err_pipe)
          @all = { 1 => out_pipe, 2 => err_pipe }.freeze # no IOs, which a handler could close
          @targets = { 1 => target(STDOUT), 2 => target(STDERR) }.freeze
          @methods = { 1 => writing_to(out, 1), 2 => writing_to(err, 2) }.freeze
          catch_children(@all)
          STDOUT.extend(@methods[1])
          STDERR.extend(@methods[2])
          Warning.extend(ForWarning)
        end

        # Catches one of the streams no more, or again.
        #
        # @!visibility private
        # @param number [Integer] its descriptor @param io [IO] which was reopened
        def reopened(number, io)
          return unless caught? && io.fileno == number

          io.extend(@methods[number]) # a reopen as another IO gives it that one's class
          others = @pipes.except(number)
          catch_children(target(io) == @targets[number] ? { **others, number => @all[number] } : others)
        end

        # @!visibility private
        # @param number [Integer] descriptor
        def catches?(number) = !Host.forked? && @pipes.key?(number)

        # @!visibility private
        def caught? = !@pipes.nil? && !Host.forked?

        # Adds what a command does not redirect itself. As a key, spawn takes no object but an IO.
        #
        # @!visibility private
        # @param command [Array] the arguments of spawn, maybe with its options
        # @param options [Hash]
        # @return [Array] the same, redirected
        def redirect(command, options, streams = [1, 2])
          *before, last = command
          more = Hash.try_convert(last) unless before.empty?
          command, options = before, { **more, **options } if more
          options = options.transform_keys { |key| real(key) }
          return [command, options] unless caught?

          own = streams - options.keys.flatten.map { |key| number(key) }
          options = options.to_h { |key, value| [key, names_descriptors?(key) ? pipe_of(value) : value] }
          [command, { **@pipes.slice(*own), **options }]
        end

        # The same for IO.popen, whose program may be an Array with options of its own.
        #
        # @!visibility private
        def redirect_popen(command, options)
          program, mode = command.grep_v(Hash)
          inner = program.is_a?(Array) ? Hash.try_convert(program.last) : nil
          streams = writes_only?(options.fetch(:mode, mode)) ? [1, 2] : [2]
          redirect(command, options, streams - (inner || {}).keys.flatten.map { |key| number(key) })
        end

        private

        # A module for STDOUT or STDERR. A reopened one leads where that says, for children too.
        def writing_to(stream, number)
          Module.new do
            define_method(:write) { |*parts| AllOutput.catches?(number) ? stream.write(*parts) : super(*parts) }
            define_method(:syswrite) { |string| AllOutput.catches?(number) ? stream.write(string) : super(string) }
            define_method(:write_nonblock) { |string, **options| AllOutput.catches?(number) ? stream.write(string) : super(string, **options) }
            define_method(:flush) do
              stream.flush if AllOutput.catches?(number)
              super()
            end
            define_method(:tty?) { AllOutput.catches?(number) ? false : super() }
            alias_method(:isatty, :tty?)
            define_method(:reopen) { |*target, **options| super(*target, **options).tap { AllOutput.reopened(number, self) } }
          end
        end

        def catch_children(pipes)
          @pipes = pipes.freeze
          Host.children_print_to(pipes.fetch(1, -1), pipes.fetch(2, -1))
        end

        # @return [Array] what tells the files behind descriptors apart
        def target(io) = io.stat.then { |stat| [stat.dev, stat.ino, stat.rdev] }

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

        def real(key)
          case key
          when Output then key.to_io
          when Array then key.map { |one| real(one) }
          else key
          end
        end

        def names_descriptors?(key) = [key].flatten.all? { |one| number(one) }

        # The host's own descriptors are not for children.
        def pipe_of(value) = @pipes.fetch(number(value), value)
      end
    end
  end
end
