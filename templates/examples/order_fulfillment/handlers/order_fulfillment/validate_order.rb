# frozen_string_literal: true

module OrderFulfillment
  # Prices the order. The prices are the catalogue's, never the context's, and
  # all money is in whole cents.
  class ValidateOrder < Tasker::StepHandler::Base
    def process(task, _sequence, _step)
      order = task.context
      lines = order[:items].map { |item| price(item) }
      subtotal = lines.sum { |line| line[:total_cents] }
      discount = share(subtotal, order[:discount_percent], of: 100)
      shipping = shipping_cents(subtotal - discount, order[:shipping][:speed])
      tax = share(subtotal - discount + shipping, tax_rate(order), of: 10_000)

      {
        lines: lines,
        subtotal_cents: subtotal,
        discount_cents: discount,
        shipping_cents: shipping,
        tax_cents: tax,
        total_cents: subtotal - discount + shipping + tax
      }
    end

    private

    def price(item)
      product = Catalogue.find(item[:sku])
      {
        sku: product.sku,
        title: product.title,
        quantity: item[:quantity],
        total_cents: product.price_cents * item[:quantity],
        weight_grams: product.weight_grams * item[:quantity]
      }
    rescue KeyError
      raise Tasker::PermanentError.new("#{item[:sku]} is not sold", error_code: "UNKNOWN_SKU", context: { item: item })
    end

    def shipping_cents(goods_cents, speed)
      return 0 if speed == "standard" && goods_cents >= config[:free_shipping_from_cents]

      config[:shipping_cents].fetch(speed)
    end

    def tax_rate(order)
      config[:tax_basis_points].fetch(order[:shipping][:country])
    end

    # Half a cent is rounded up.
    def share(cents, numerator, of:)
      ((2 * cents * numerator) + of) / (2 * of)
    end
  end
end
