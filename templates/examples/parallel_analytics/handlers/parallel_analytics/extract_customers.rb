# frozen_string_literal: true

module ParallelAnalytics
  # Everyone who ever bought, and whether they are new in the period.
  class ExtractCustomers < Extract
    private

    def record(row, context)
      {
        customer_id: Integer(row["customer_id"]),
        name: row["name"],
        country: row["country"],
        new: row["customer_since"] >= context[:from]
      }
    end
  end
end
