//! Record batches of magic 0, 1 and 2: our own codec, because a broker needs views over batches, not decoded records.

pub mod batch;
pub mod iter;
