//! Record batches of magic 0, 1 and 2: our own codec, because a broker needs views over batches, not decoded records.
//!
//! `batch` is the fixed header, `view` and `iter` read records where they lie, `compression` unpacks and packs under
//! a budget, `builder` and `legacy` write, `control` knows transaction markers, `convert` changes the format for old
//! consumers.

pub mod batch;
pub mod builder;
pub mod compression;
pub mod control;
pub mod convert;
pub mod error;
pub mod iter;
pub mod legacy;
pub mod produce;
pub mod varint;
pub mod view;

#[cfg(test)]
mod tests;

pub use builder::RecordBatchBuilder;
pub use error::RecordsError;
pub use view::RecordView;
