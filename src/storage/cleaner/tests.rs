//! Stories of the cleaner.
