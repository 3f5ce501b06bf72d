# frozen_string_literal: true

module ExampleShop
  module Box
    GRAMS = 150 unless defined?(GRAMS)
  end
end
