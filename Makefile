# The commands of this project. `make demo` and `make test` start from a fresh clone.

TARGET := $(or $(CARGO_TARGET_DIR),target)
PYTHON := $(firstword $(wildcard /usr/bin/python3.11) python3)

.PHONY: help setup demo test soak soak-sizes fuzz fmt lint doc bench bench-backlog bench-codec bench-session

help: ## List the commands.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

setup: ## Install what this machine lacks: Debian packages, Synapse, smpplib, cargo-fuzz.
	@./scripts/setup.sh

demo: setup ## Hold a conversation between a room and a phone, then stay up; ONCE=1 ends by itself.
	cargo build --locked --release -p matrix-smpp -p matrix-smpp-loadtest --bins
	@$(PYTHON) scripts/demo.py --target "$(TARGET)" $(if $(filter-out 0,$(ONCE)),--once)

# The integration binary goes last, so that its summary is the last line.
test: setup ## Run all tests, the ones against real peers last.
	cargo build --locked --workspace --bins
	cargo test --locked --workspace --exclude matrix-smpp
	cargo test --locked -p matrix-smpp --lib --bins
	cargo test --locked -p matrix-smpp --doc
	./systemd/check.sh
	./scripts/fuzz.sh 2
	@cargo test --locked -p matrix-smpp --test it

# SEED is the first seed, SEEDS how many, DURATION the seconds of trouble in each; ENGINE keeps the
# gateway's data (sqlite, redis, cluster; all of them where left out), GATEWAYS share one Redis; FAILOVERS is how many each
# row of their table has; KEEP is a folder for the data of campaigns that fail. With KILLS nothing runs but
# campaigns of that many kills for each engine.
CAMPAIGN = CAMPAIGN_SEED=$(or $(SEED),1) $(if $(GATEWAYS),CAMPAIGN_GATEWAYS=$(GATEWAYS)) $(if $(KEEP),CAMPAIGN_KEEP=$(KEEP))
CAMPAIGNS = cargo test --locked -p matrix-smpp --test it -- --nocapture campaign::

ifdef KILLS
soak: setup
	cargo build --locked --workspace --bins
	@set -e; for engine in $(or $(ENGINE),sqlite redis cluster); do \
		$(CAMPAIGN) CAMPAIGN_ENGINE=$$engine CAMPAIGN_KILLS=$(KILLS) $(CAMPAIGNS)whatever_goes_wrong_every_text; done
else
soak: setup ## Run for long what `test` runs for short: campaigns, power losses, wires, fuzzing; ENGINE=e KILLS=n SEED=n SEEDS=n DURATION=n CUTS=n SECONDS=n choose.
	cargo build --locked --workspace --bins
	@set -e; for engine in $(or $(ENGINE),sqlite redis cluster); do $(CAMPAIGN) CAMPAIGN_ENGINE=$$engine \
		CAMPAIGN_SEEDS=$(or $(SEEDS),20) CAMPAIGN_SECONDS=$(or $(DURATION),60) $(CAMPAIGNS)whatever_goes_wrong; done
	$(CAMPAIGN) CAMPAIGN_FAILOVERS=$(or $(FAILOVERS),3) $(CAMPAIGNS)failover
	POWER_SEED=$(or $(SEED),1) POWER_CUTS=$(or $(CUTS),6000) cargo test --locked -p matrix-smpp --lib -- --nocapture \
		--exact store::tests::on_sqlite::power::what_was_acknowledged_survives_a_power_loss_at_any_moment
	@$(MAKE) soak-sizes
	./scripts/fuzz.sh $(or $(SECONDS),600)
endif

# Each size is a variable of the same name; SEED is the first seed of each.
SIZES_CODEC = cargo test --locked --release -p matrix-smpp-codec --lib -- --nocapture tests::
SIZES_SESSION = cargo test --locked --release -p matrix-smpp-session
SIZES_STORE = cargo test --locked --release -p matrix-smpp --lib -- --nocapture store::
SIZES_IT = cargo test --locked --release -p matrix-smpp --test it -- --nocapture
FROM = $(or $(SEED),1)

soak-sizes: setup ## Try each counted promise at its full size (docs/reliability.md): FIFO_TEXTS=n and so on choose.
	cargo build --locked --release --workspace --bins
	REASSEMBLY_SEED=$(FROM) REASSEMBLY_CASES=$(or $(REASSEMBLY_CASES),10000000) $(SIZES_CODEC)reassembly
	TSHARK_SEED=$(FROM) TSHARK_PDUS=$(or $(TSHARK_PDUS),1000000) $(SIZES_CODEC)wireshark
	STRANGERS=$(or $(STRANGERS),50000) $(SIZES_SESSION) --test memory -- --nocapture
	SMPP_SIM_SEEDS=$(or $(SMPP_SIM_SEEDS),1000000) $(SIZES_SESSION) --test it -- simulation
	STORE_SEED=$(FROM) STORE_CASES=$(or $(STORE_CASES),100000) $(SIZES_STORE)memory::tests::near::model \
		store::memory::tests::near::parts
	STORE_SEED=$(FROM) STORE_CASES=$(or $(TAKEOVER_CASES),1000) $(SIZES_STORE)tests::on_redis::hands
	FLOOD_PARTS=$(or $(FLOOD_PARTS),1000000) $(SIZES_STORE)tests::on_sqlite::flood
	FIFO_TEXTS=$(or $(FIFO_TEXTS),1000000) UNANSWERED_TEXTS=$(or $(UNANSWERED_TEXTS),100000) \
		POISON=$(or $(POISON),1000) POISON_STUCK=$(or $(POISON_STUCK),200) $(SIZES_IT) --test-threads=1 steady::
	OUTAGE_CALLS=$(or $(OUTAGE_CALLS),9) $(SIZES_IT) restart::what_a_homeserver_kept_back
	$(CAMPAIGN) CAMPAIGN_ROUNDS=$(or $(ROUNDS),100) $(SIZES_IT) campaign::rolling

fuzz: setup ## Send the codec and the session what nobody thought of; SECONDS=n for each target.
	./scripts/fuzz.sh $(or $(SECONDS),60)

fmt: ## Format the code.
	cargo fmt --all
	cargo fmt --manifest-path fuzz/Cargo.toml

lint: ## Check format, lints and layers.
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	./scripts/check-layers.sh

doc: ## Build the documentation, warnings denied.
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps

# MESSAGES of each row, ROOMS, ROUNDS; JSON is a file for the results.
bench: setup ## Measure the gateway end to end, Kannel beside it; MESSAGES=n ROOMS=n ROUNDS=n JSON=file choose.
	cargo build --locked --release -p matrix-smpp -p matrix-smpp-loadtest --bins
	@$(PYTHON) scripts/bench.py --target "$(TARGET)" --messages $(or $(MESSAGES),20000) \
		--rooms $(or $(ROOMS),500) --rounds $(or $(ROUNDS),3) --json $(or $(JSON),"$(TARGET)/bench.json")

bench-codec: ## Time the codec beside hand-written bounds and other crates.
	cargo run --locked --release --manifest-path bench/Cargo.toml --bin codec

bench-backlog: ## Time the start of a store in which MESSAGES=n messages wait, and its memory.
	cargo build --locked --release -p matrix-smpp --example backlog
	@folder=$$(mktemp -d) && trap 'rm -r "$$folder"' EXIT && cd "$(abspath $(TARGET))/release/examples" && \
		./backlog fill "$$folder/gateway.db" $(or $(MESSAGES),1000000) && \
		for round in 1 2 3; do ./backlog open "$$folder/gateway.db"; done

bench-session: ## Rate, processor time and memory of sessions beside smpp34 and a bare socket loop.
	cargo run --locked --release --manifest-path bench/Cargo.toml --bin session
	cargo run --locked --release --manifest-path bench/Cargo.toml --bin idle
