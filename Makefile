# What one does with Shardloom from a checkout. Each target installs what it lacks (see scripts/).

.PHONY: demo test score torture release bench lint servers

# Two groups with replicas, a sample shop, the proxy in the foreground. ARGS are those of `shardloom demo`.
demo: servers
	cargo build --release --locked
	target/release/shardloom demo $(ARGS)

# Everything: the tests without servers first, then those with MySQL and MariaDB, then the client drivers.
test: servers
	scripts/install-tools
	scripts/test

# How much of MySQL is answered: the statements of tests/fixtures/score, and SEEDS times 1,000 random ones in each
# layout, against one plain server. UPDATE=1 writes docs/score.md and the reasons of refusals anew.
score: servers
	SEEDS=$(or $(SEEDS),4) cargo test --locked --test all servers::score -- --nocapture

# Transactions over three groups, through two proxies, while proxies and servers are killed, frozen and cut off at random:
# DURATION seconds (an hour), the order of faults by SEED; prints what it survived.
torture: servers
	DURATION=$(or $(DURATION),3600) cargo test --locked --test all servers::torture -- --nocapture

# The binary to install, target/optimized/shardloom: compiled a second time by what the first one did under load.
release: servers
	scripts/install-tools
	scripts/build-optimized

# Its speed and memory beside HAProxy and a direct connection (bench/README.md). ARGS are those of bench/run: --quick.
bench: release
	bench/run $(ARGS)

# What must be clean before a change lands: format, clippy, documentation.
lint:
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --locked --no-deps

servers:
	scripts/install-servers
