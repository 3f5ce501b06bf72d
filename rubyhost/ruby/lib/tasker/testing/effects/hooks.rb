# frozen_string_literal: true

require "socket"

module Tasker
  module Testing
    module Effects
      # Prepended to the classes through which Ruby code reaches the outside.
      #
      # @api private
      module Hooks
        # Methods of HTTP that change nothing.
        SAFE = %w[GET HEAD OPTIONS TRACE].freeze
        WRITES = File::WRONLY | File::RDWR | File::CREAT | File::TRUNC | File::APPEND
        # Temporary files are nobody's business.
        TEMPORARY = ["/tempfile.rb", "/tmpdir.rb"].freeze
        private_constant :SAFE, :WRITES, :TEMPORARY

        # Net::HTTP's. A request that changes nothing is no effect.
        module ForHTTP
          def request(request, *body, &block)
            Hooks.request(self, request)
            block &&= ->(response) { Effects.aloud { yield response } }
            Effects.silently { super(request, *body, &block) }
          end

          private

          def connect
            Effects.silently { super }
          end
        end

        # TCPSocket's and UNIXSocket's.
        module ForStream
          def initialize(*address, **)
            Effects.seen(:socket, address.first(2).join(":"))
            super
            Hooks.connected(self)
          end
        end

        # BasicSocket's. What is sent over a connection of the same attempt belongs to that.
        module ForOpen
          def write(*) = Hooks.sent(self) || super
          def syswrite(*) = Hooks.sent(self) || super
          def write_nonblock(*, **) = Hooks.sent(self) || super
          def sendmsg(*) = Hooks.sent(self) || super
          def sendmsg_nonblock(*, **) = Hooks.sent(self) || super
          def send(*) = Hooks.sent(self) || super
        end

        # Socket's and UDPSocket's.
        module ForSocket
          def connect(*address)
            Effects.seen(:socket, Hooks.address(address))
            Hooks.connected(self)
            super
          end

          def connect_nonblock(*address, **)
            Effects.seen(:socket, Hooks.address(address))
            Hooks.connected(self)
            super
          end

          def send(message, flags = 0, *address)
            address.empty? ? Hooks.sent(self) : Effects.seen(:socket, Hooks.address(address))
            super
          end
        end

        # File's, for File.new and File.open.
        module ForFile
          def initialize(path, *mode, **options)
            Hooks.opened(path, mode.first || options[:mode] || options[:flags])
            super
          end
        end

        # IO's class methods, which File has from it.
        module ForIO
          def write(path, *, **)
            Hooks.written(path)
            super
          end

          def binwrite(path, *, **)
            Hooks.written(path)
            super
          end

          def popen(*command, **)
            Effects.seen(:process, Hooks.command(command))
            super
          end
        end

        # File's class methods that change what a folder has. FileUtils calls them.
        # They are no blocks, which could not be called in a Ractor.
        module ForFiles
          %w[rename link symlink].each { |name| class_eval "def #{name}(from, to) = Hooks.written(to) || super", __FILE__, __LINE__ }
          %w[delete unlink].each { |name| class_eval "def #{name}(*paths) = paths.each { |path| Hooks.written(path) } && super", __FILE__, __LINE__ }

          def truncate(path, *)
            Hooks.written(path)
            super
          end
        end

        # Dir's class methods.
        module ForFolders
          %w[mkdir rmdir unlink delete].each { |name| class_eval "def #{name}(path, *) = Hooks.written(path) || super", __FILE__, __LINE__ }
        end

        # Process's class methods.
        module ForProcess
          def spawn(*command, **)
            Effects.seen(:process, Hooks.command(command))
            super
          end

          def fork(&block)
            Effects.seen(:process, "fork")
            super
          end
        end

        # Kernel's class methods.
        module ForKernel
          def spawn(*command, **)
            Effects.seen(:process, Hooks.command(command))
            super
          end

          # The host's calls the one of Process.
          def fork(&block)
            Effects.seen(:process, "fork")
            Effects.silently { super(&block) }
          end

          def system(*command, **)
            Effects.seen(:process, Hooks.command(command))
            super
          end

          def `(command)
            Effects.seen(:process, command)
            super
          end

          # A file is File's own affair.
          def open(path, *, **)
            Effects.seen(:process, path) if path.is_a?(String) && path.start_with?("|")
            super
          end
        end

        # Kernel's own methods, which are private.
        ForOwn = ForKernel.dup.tap { |own| own.send(:private, *own.instance_methods(false)) }

        class << self
          # Installs what is not there yet: WebMock, for one, puts another class in the
          # place of Net::HTTP.
          #
          # @return [nil]
          def install
            RubyVersions.library?("net/http")
            [Net::HTTP, Net::HTTP.superclass].each { |http| http.prepend(ForHTTP) if http.method_defined?(:request) } if defined?(Net::HTTP)
            return if @installed

            @installed = true
            BasicSocket.prepend(ForOpen)
            [TCPSocket, *(UNIXSocket if defined?(UNIXSocket))].each { |stream| stream.prepend(ForStream) }
            [Socket, UDPSocket].each { |socket| socket.prepend(ForSocket) }
            File.prepend(ForFile)
            { IO => ForIO, File => ForFiles, Dir => ForFolders, Process => ForProcess, Kernel => ForKernel }.each do |owner, hooks|
              owner.singleton_class.prepend(hooks)
            end
            Kernel.prepend(ForOwn)
            nil
          end

          # @!visibility private
          def request(http, request)
            return if SAFE.include?(request.method)

            url = "http#{"s" if http.use_ssl?}://#{http.address}:#{http.port}#{request.path}"
            Effects.seen(:http, "#{request.method} #{url}", key: request["Idempotency-Key"])
          end

          # @!visibility private
          def address(given)
            first = given.first
            return given.join(":") unless given.size == 1

            first.is_a?(Addrinfo) ? first.inspect_sockaddr : Addrinfo.new(first).inspect_sockaddr
          rescue SocketError, ArgumentError
            "an unknown address"
          end

          # @!visibility private
          def command(given)
            given.reject { |part| part.is_a?(Hash) }.flatten.join(" ")
          end

          # @!visibility private
          def opened(path, mode)
            written(path) if writes?(mode)
          end

          # @!visibility private
          # @return [nil]
          def written(path)
            return unless Effects.watching?

            path = path.to_path if path.respond_to?(:to_path)
            return unless path.is_a?(String) && !path.start_with?("/dev/")
            return Effects.temporary(path) if caller_locations(2, 12).any? { |frame| frame.path.end_with?(*TEMPORARY) }

            Effects.seen(:file, path) unless Effects.temporary?(path)
          end

          # @!visibility private
          # @return [nil]
          def connected(socket)
            socket.instance_variable_set(:@tasker_attempt, Attempt.current) if Effects.watching?
          end

          # Notes the first that an attempt sends over a connection that was there before.
          #
          # @!visibility private
          # @return [nil]
          def sent(socket)
            return unless Effects.watching? && (attempt = Attempt.current)

            socket = socket.to_io
            return if socket.instance_variable_get(:@tasker_attempt).equal?(attempt)

            socket.instance_variable_set(:@tasker_attempt, attempt)
            (address = peer(socket)) && Effects.seen(:socket, address)
          end

          private

          # Nil for the ends of a socket pair, which stay within this process.
          def peer(socket)
            address = socket.remote_address
            address.inspect_sockaddr unless address.unix? && address.unix_path.empty?
          rescue SystemCallError, IOError
            nil
          end

          def writes?(mode)
            mode.is_a?(Integer) ? mode.anybits?(WRITES) : mode.to_s.match?(/[wa+]/)
          end
        end
      end
    end
  end
end
