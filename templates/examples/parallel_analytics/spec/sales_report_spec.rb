# frozen_string_literal: true

require "tasker/testing"

RSpec.describe "sales_report" do
  let(:january) { { from: "2025-01-01", to: "2025-01-31" } }

  it "says what stands out" do
    task = run_task("sales_report", context: january)

    expect(task).to be_complete
    expect(task.step("generate_insights").results["headline"]).to match(/\AEUR \d+\.\d\d from \d+ orders of \d+ customers\z/)
    expect(task).to have_step("aggregate_metrics").after("transform_days").after("transform_customers").after("transform_products")
  end

  it "does not trust branches that disagree" do
    task = run_task("sales_report", context: january, stubs: { transform_days: { days: { "2025-01-01" => 1 }, best_day: "2025-01-01" } })

    expect(task).to have_failed_with(Tasker::PermanentError, code: "INCONSISTENT_TOTALS")
  end
end
