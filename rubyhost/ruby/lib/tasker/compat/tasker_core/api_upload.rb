# frozen_string_literal: true

module TaskerCore
  module StepHandler
    module Mixins
      module API
        # Sends a file as a form with several parts, as a browser does.
        #
        # @param path [String] of the API
        # @param file_path [String, Pathname] the whole file is read into memory
        # @param field_name [String, Symbol] of the form's field that has the file
        # @param additional_fields [Hash] other fields of the form
        # @return [Faraday::Response]
        # @raise [Errors::PermanentError] when there is no such file; else see
        #   {#process_response}
        def api_upload_file(path, file_path, field_name: "file", additional_fields: {})
          raise Errors::PermanentError.new("there is no file #{file_path}", error_code: "FILE_NOT_FOUND") unless File.file?(file_path)

          form = Form.new(additional_fields)
          form.add_file(field_name, file_path)
          post(path, data: form.body, headers: { "Content-Type" => form.content_type })
        end

        # The body of such a request. Faraday has it only in a gem of its own.
        #
        # @api private
        class Form
          # What must not be in a name, as browsers write it.
          ESCAPES = { '"' => "%22", "\r" => "%0D", "\n" => "%0A" }.freeze
          private_constant :ESCAPES

          # @param fields [Hash]
          def initialize(fields)
            @boundary = "tasker-#{SecureRandom.hex(16)}"
            @parts = "".b
            fields.each { |name, value| add(name, value.to_s) }
          end

          # @return [String]
          def content_type = "multipart/form-data; boundary=#{@boundary}"

          # @return [String]
          def body = "#{@parts}--#{@boundary}--\r\n"

          # @return [void]
          def add_file(name, path)
            add(name, File.binread(path), "; filename=\"#{escape(File.basename(path))}\"\r\nContent-Type: application/octet-stream")
          end

          private

          def add(name, value, more = "")
            @parts << "--#{@boundary}\r\nContent-Disposition: form-data; name=\"#{escape(name)}\"#{more}\r\n\r\n".b << value.b << "\r\n"
          end

          def escape(name) = name.to_s.gsub(/["\r\n]/, ESCAPES)
        end
        private_constant :Form
      end
    end
  end
end
