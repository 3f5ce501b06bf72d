# frozen_string_literal: true

require "digest"

module OrderFulfillment
  # Stands in for the client of a warehouse. Asking twice under the same
  # reference gives the same reservation.
  module Warehouse
    class OutOfStock < StandardError; end

    SHELVES = {
      "TEA-001" => { bin: "A-03", on_hand: 60 },
      "TEA-002" => { bin: "A-04", on_hand: 0 },
      "CUP-114" => { bin: "C-11", on_hand: 24 },
      "POT-020" => { bin: "D-01", on_hand: 3 }
    }.freeze

    # @return [Hash] with much more than an order needs to know
    # @raise [OutOfStock]
    def self.reserve(sku, quantity, reference:)
      shelf = SHELVES.fetch(sku)
      raise OutOfStock, "#{sku}: #{quantity} wanted, #{shelf[:on_hand]} on hand" if quantity > shelf[:on_hand]

      {
        id: "rsv_#{Digest::SHA256.hexdigest("#{reference}/#{sku}")[0, 10]}",
        sku: sku,
        quantity: quantity,
        bin: shelf[:bin],
        left_on_hand: shelf[:on_hand] - quantity,
        picker: { zone: shelf[:bin][0], route: [shelf[:bin], "pack-1"] }
      }
    end
  end
end
