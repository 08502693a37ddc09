# The commands of everyday work. `just` alone lists them.

default:
    @just --list

# Formatting and lints, as the test command checks them.
check:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings

# Unit tests.
test *args:
    cargo test {{args}}

# Everything: lints, unit tests, Apache Kafka's tools and clients side by side, crashes, a short benchmark.
compat *args:
    ./compat-tests/run {{args}}

# The whole cluster in one thread, seed by seed.
sim *args:
    cargo test --test sim -- {{args}}

# The benchmark against Apache Kafka on this machine.
bench *args:
    compat-tests/.work/venv/bin/python compat-tests/bench {{args}}

# Three brokers against three.
bench-cluster *args:
    compat-tests/.work/venv/bin/python compat-tests/bench-cluster {{args}}

# A fuzz target, for as long as asked: `just fuzz record_batch 600`.
fuzz target seconds="60":
    cargo +nightly fuzz run {{target}} -- -max_total_time={{seconds}}

# Rewrites the generated parts of the docs, and builds the crate's own documentation.
docs:
    UPDATE=1 cargo test --test docs
    UPDATE=1 cargo test --lib docs_are_fresh
    cargo doc --no-deps --document-private-items
