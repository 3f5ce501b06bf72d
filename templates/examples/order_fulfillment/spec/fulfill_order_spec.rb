# frozen_string_literal: true

require "json"
require "tasker/testing"

RSpec.describe "fulfill_order" do
  let(:order) { JSON.parse(File.read(File.expand_path("../context.json", __dir__)), symbolize_names: true) }

  it "takes an order from the cart to the carrier" do
    task = run_task("fulfill_order", context: order)

    expect(task).to be_complete
    expect(task).to have_step("reserve_inventory").with_results(hash_including("items_reserved" => 7)).after("validate_order")
    expect(task).to have_step("ship_order").with_results(hash_including("days" => 3)).after("charge_payment")
    expect(task).to have_published("order.shipped")
  end

  it "charges again after the gateway was busy, and the wait costs no time" do
    task = run_task("fulfill_order", context: order)

    expect(task).to have_step("charge_payment").with_results(hash_including("charged_cents" => 18_187)).in(2).attempts
  end

  it "gives up on a declined card" do
    task = run_task("fulfill_order", context: order.merge(payment: { card_token: "tok_declined" }))

    expect(task).to have_failed_with(Tasker::PermanentError, code: "CARD_DECLINED")
    expect(task.step("ship_order").status).to eq("pending")
  end

  it "does not charge for goods that are out of stock" do
    expect(OrderFulfillment::PaymentGateway).not_to receive(:charge)

    task = run_task("fulfill_order", context: order.merge(items: [{ sku: "TEA-002" }]))

    expect(task).to have_failed_with(Tasker::PermanentError, code: "OUT_OF_STOCK")
  end

  it "charges again after a timeout, without waiting for it" do
    timeout_step "charge_payment", at: :start

    task = run_task("fulfill_order", context: order)

    expect(task).to be_complete
    expect(task.step("charge_payment").tries.first.error.message).to include("longer than its 30s")
  end

  it "survives the death of its worker" do
    kill_host during: "charge_payment"

    task = run_task("fulfill_order", context: order)

    expect(task).to be_complete
    expect(task.step("charge_payment").losses).to eq(1)
  end

  it "ships what it is told, whatever the steps before are" do
    step = run_step("ship_order",
                    context: order.merge(shipping: { country: "FR", postal_code: "75001", speed: "express" }),
                    results: {
                      validate_order: { lines: [{ sku: "CUP-114", weight_grams: 300 }] },
                      reserve_inventory: { reservation_ids: ["rsv_1"] },
                      charge_payment: { charge_id: "ch_1" }
                    })

    expect(step.results).to include("days" => 1, "weight_grams" => 300, "paid_by" => "ch_1")
  end

  # The charge counts its attempts, and after a crash there is one more.
  it "does everything once, wherever a worker dies" do
    assert_exactly_once("fulfill_order", context: order) do
      Tasker.db.exec("SELECT name, results::jsonb - 'attempts' AS results FROM tasker.steps JOIN tasker.attempts USING (step_id) WHERE outcome = 'complete'")
    end
  end
end
