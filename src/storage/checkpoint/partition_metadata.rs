//! The topic id a partition's directory belongs to (class `PartitionMetadataFile`, KIP-516).

use std::{io, path::Path};

use super::{Durability, malformed, read_text, write_atomically};
use crate::common::topic_id::{self, Uuid};

pub const FILE_NAME: &str = "partition.metadata";

/// `None`: no file.
pub fn read(path: &Path) -> io::Result<Option<Uuid>> {
    let Some(text) = read_text(path)? else { return Ok(None) };
    let mut lines = text.lines();
    let version = lines.next().and_then(|line| line.strip_prefix("version:")).map(str::trim);
    let id = lines.next().and_then(|line| line.strip_prefix("topic_id:")).map(str::trim);
    match (version, id.and_then(topic_id::from_base64)) {
        (Some("0"), Some(id)) if !id.is_nil() => Ok(Some(id)),
        _ => Err(malformed("partition.metadata")),
    }
}

pub fn write(path: &Path, id: Uuid, durability: Durability) -> io::Result<()> {
    let text = format!("version: 0\ntopic_id: {}", topic_id::to_base64(id));
    write_atomically(path, text.as_bytes(), durability)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        assert_eq!(read(&path).unwrap(), None);
        let id = topic_id::random();
        write(&path, id, Durability::Synced).unwrap();
        assert_eq!(read(&path).unwrap(), Some(id));
        for bad in ["", "version: 1\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ", "version: 0\ntopic_id: x", "version: 0\n"] {
            std::fs::write(&path, bad).unwrap();
            assert!(read(&path).is_err(), "{bad:?}");
        }
    }
}
