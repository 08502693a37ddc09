//! An offset per partition of a log dir (class `OffsetCheckpointFile`): recovery points, high watermarks, log starts.

use std::{collections::HashMap, fmt::Write, io, path::Path};

use super::{Durability, entry_lines, malformed, read_text, write_atomically};
use crate::common::{Offset, TopicPartition};

pub const RECOVERY_POINT_FILE: &str = "recovery-point-offset-checkpoint";
pub const HIGH_WATERMARK_FILE: &str = "replication-offset-checkpoint";
pub const LOG_START_OFFSET_FILE: &str = "log-start-offset-checkpoint";
pub const CLEANER_OFFSET_FILE: &str = "cleaner-offset-checkpoint";

/// Reads all entries; no file means none.
pub fn read(path: &Path) -> io::Result<HashMap<TopicPartition, Offset>> {
    let Some(text) = read_text(path)? else { return Ok(HashMap::new()) };
    entry_lines(&text)?.into_iter().map(|line| entry(line).ok_or_else(|| malformed(line))).collect()
}

fn entry(line: &str) -> Option<(TopicPartition, Offset)> {
    let mut words = line.split_whitespace();
    let (topic, partition, offset) = (words.next()?, words.next()?, words.next()?);
    let entry = (TopicPartition::new(topic, partition.parse().ok()?), offset.parse().ok()?);
    words.next().is_none().then_some(entry)
}

/// Replaces the file, durably.
pub fn write(path: &Path, entries: &[(TopicPartition, Offset)]) -> io::Result<()> {
    let mut text = String::with_capacity(16 + entries.len() * 32);
    let _ = writeln!(text, "0\n{}", entries.len());
    for (tp, offset) in entries {
        let _ = writeln!(text, "{} {} {offset}", tp.topic, tp.partition);
    }
    write_atomically(path, text.as_bytes(), Durability::Synced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_in_kafkas_text() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(RECOVERY_POINT_FILE);
        assert!(read(&path).unwrap().is_empty());
        let entries = [(TopicPartition::new("a-b", 0), 7), (TopicPartition::new("c", 12), 0)];
        write(&path, &entries).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "0\n2\na-b 0 7\nc 12 0\n");
        assert_eq!(read(&path).unwrap(), entries.into_iter().collect());
    }

    #[test]
    fn garbage_is_an_error_and_not_a_panic() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        for bad in ["1\n0\n", "0\n2\na 0 1\n", "0\n1\na 0\n", "0\n1\na 0 1 2\n", "0\n-1\n", "\0\0\0\0", "0\n1\na b c\n"]
        {
            std::fs::write(&path, bad).unwrap();
            assert!(read(&path).is_err(), "{bad:?}");
        }
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(read(&path).is_err());
        std::fs::write(&path, "").unwrap();
        assert!(read(&path).unwrap().is_empty());
    }
}
