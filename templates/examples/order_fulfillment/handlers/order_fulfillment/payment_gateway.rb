# frozen_string_literal: true

require "digest"

module OrderFulfillment
  # Stands in for the client of a payment gateway, on a bad day: it is busy
  # whenever it is asked for the first time. The card tok_declined has no money.
  module PaymentGateway
    class Busy < StandardError; end
    class Declined < StandardError; end

    # @param attempt [Integer] how often this charge has been tried
    # @return [Hash]
    # @raise [Busy, Declined]
    def self.charge(amount_cents:, card_token:, idempotency_key:, attempt:)
      raise Busy, "the gateway is busy" if attempt == 1
      raise Declined, "the card was declined" if card_token == "tok_declined"

      { id: "ch_#{Digest::SHA256.hexdigest(idempotency_key)[0, 12]}", amount_cents: amount_cents, status: "captured" }
    end
  end
end
