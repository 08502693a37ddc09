//! The mark of a clean stop and the broker epoch it happened in (class `CleanShutdownFileHandler`, KIP-966).

use std::{fs, io, path::Path};

use super::{Durability, sync_dir, write_atomically};

pub const FILE_NAME: &str = ".kafka_cleanshutdown";

/// What a start finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanShutdown {
    /// −1 when the file was written by a version that kept none, or cannot be read.
    pub broker_epoch: i64,
}

/// Notes the mark and removes it, durably: a crash from here on is not a clean stop.
pub fn take(dir: &Path) -> io::Result<Option<CleanShutdown>> {
    let path = dir.join(FILE_NAME);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    fs::remove_file(&path)?;
    sync_dir(dir)?;
    let json: Option<serde_json::Value> = serde_json::from_slice(&bytes).ok();
    let broker_epoch = json.as_ref().and_then(|json| json.get("brokerEpoch")).and_then(serde_json::Value::as_i64);
    Ok(Some(CleanShutdown { broker_epoch: broker_epoch.unwrap_or(-1) }))
}

pub fn write(dir: &Path, broker_epoch: i64) -> io::Result<()> {
    let text = format!("{{\"version\":0,\"brokerEpoch\":{broker_epoch}}}");
    write_atomically(&dir.join(FILE_NAME), text.as_bytes(), Durability::Synced)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_seen_once() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(take(dir.path()).unwrap(), None);
        write(dir.path(), 77).unwrap();
        assert_eq!(take(dir.path()).unwrap(), Some(CleanShutdown { broker_epoch: 77 }));
        assert_eq!(take(dir.path()).unwrap(), None);
        fs::write(dir.path().join(FILE_NAME), "").unwrap();
        assert_eq!(take(dir.path()).unwrap(), Some(CleanShutdown { broker_epoch: -1 }));
    }
}
