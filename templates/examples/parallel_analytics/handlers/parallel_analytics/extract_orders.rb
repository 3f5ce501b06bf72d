# frozen_string_literal: true

module ParallelAnalytics
  # The orders from one day to another, both included.
  class ExtractOrders < Extract
    private

    # Dates of this form are in order when their text is.
    def record(row, context)
      return unless row["ordered_on"].between?(context[:from], context[:to])

      {
        order_id: Integer(row["order_id"]),
        ordered_on: row["ordered_on"],
        customer_id: Integer(row["customer_id"]),
        sku: row["sku"],
        quantity: Integer(row["quantity"])
      }
    end
  end
end
