# frozen_string_literal: true

require "digest"

module OrderFulfillment
  # Hands the parcel to the carrier. It depends on the reservation and on the
  # charge, and may read the results of everything those depend on too.
  class ShipOrder < Tasker::StepHandler::Base
    DAYS = { "standard" => 3, "express" => 1 }.freeze

    def self.custom_event_configuration
      [{ name: "order.shipped", description: "The carrier has the parcel" }]
    end

    def process(task, sequence, _step)
      order = task.context
      parcel = {
        tracking_number: "TRK#{Digest::SHA256.hexdigest("order-#{order[:order_id]}")[0, 10].upcase}",
        to: "#{order[:customer][:name]}, #{order[:shipping][:country]}-#{order[:shipping][:postal_code]}",
        weight_grams: sequence.get_results("validate_order")["lines"].sum { |line| line["weight_grams"] },
        days: DAYS.fetch(order[:shipping][:speed]),
        reservation_ids: sequence.get_results("reserve_inventory")["reservation_ids"],
        paid_by: sequence.get_results("charge_payment")["charge_id"]
      }
      publish_custom_event("order.shipped", order_id: order[:order_id], tracking_number: parcel[:tracking_number])
      parcel
    end
  end
end
