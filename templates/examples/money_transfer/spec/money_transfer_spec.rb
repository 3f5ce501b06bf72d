# frozen_string_literal: true

RSpec.describe "money_transfer" do
  let(:transfer) { { from: "ada", to: "ben", cents: 2500 } }

  def accounts
    Tasker.db.exec("SELECT name, cents FROM accounts").to_h(&:values)
  end

  it "moves the money" do
    task = run_task("money_transfer", context: transfer)

    expect(task).to be_complete
    expect(accounts).to eq("ada" => 7500, "ben" => 3000)
    expect(task).to have_committed("SELECT body FROM receipts WHERE body = '2500 cents from ada to ben'")
  end

  it "writes nothing if there is too little money" do
    task = run_task("money_transfer", context: transfer.merge(cents: 10_001))

    expect(task).to have_failed_with(Tasker::PermanentError, code: "TOO_LITTLE_MONEY")
    expect(accounts).to eq("ada" => 10_000, "ben" => 500)
  end

  it "moves the money once, wherever a worker dies" do
    assert_exactly_once("money_transfer", context: transfer) do
      { accounts: Tasker.db.exec("SELECT * FROM accounts"),
        transfers: Tasker.db.exec("SELECT * FROM transfers"),
        receipts: Tasker.db.exec("SELECT * FROM receipts") }
    end
  end

  it "moves the money once if the answer of a commit is lost" do
    lose_commit_answer "withdraw"

    expect(run_task("money_transfer", context: transfer)).to be_complete
    expect(accounts).to eq("ada" => 7500, "ben" => 3000)
  end

  it "waits until the database is back" do
    lose_connection "deposit", at: { statement: 1 }

    task = run_task("money_transfer", context: transfer)

    expect(task).to have_step("deposit").in(2).attempts
    expect(accounts).to eq("ada" => 7500, "ben" => 3000)
  end

  it "notes the time of the transfer" do
    travel_to Time.utc(2030, 1, 1)

    run_task("money_transfer", context: transfer)

    expect(Tasker.db.first("SELECT made_at FROM transfers")["made_at"]).to be_within(60).of(Time.utc(2030, 1, 1))
  end
end
