//! Stories (`testdata/*.txt`), Kafka's own bytes, and random walks against what must always hold.

mod golden;
mod harness;
mod random;
mod scale;
mod stories;
