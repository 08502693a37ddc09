//! Stories about records, batches and codecs.
