# frozen_string_literal: true

module OrderFulfillment
  # Reserves every line of the order.
  class ReserveInventory < Tasker::StepHandler::Base
    def process(task, sequence, _step)
      lines = sequence.find_step_by_name("validate_order").results["lines"]
      lines.map do |line|
        Warehouse.reserve(line["sku"], line["quantity"], reference: "order-#{task.context[:order_id]}")
      end
    rescue Warehouse::OutOfStock => e
      raise Tasker::PermanentError.new(e.message, error_code: "OUT_OF_STOCK")
    end

    # The warehouse tells more than the next steps need; they get what they use.
    def process_results(step, reservations, _initial_results)
      step.results = {
        reservation_ids: reservations.map { |reservation| reservation[:id] },
        pick_list: reservations.map { |reservation| reservation.slice(:bin, :sku, :quantity) }.sort_by { |pick| pick[:bin] },
        items_reserved: reservations.sum { |reservation| reservation[:quantity] }
      }
    end
  end
end
