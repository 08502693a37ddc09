//! A sorted file of fixed-size entries (class `AbstractIndex`), searched where it lies.
//!
//! Kafka maps the file; here the newest entries wait in memory and the rest is read with `pread` when asked for, so
//! that an idle log costs neither a descriptor nor memory. Nothing is lost with the waiting entries: a crash makes the
//! start rebuild the index of every segment that was not sealed.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

/// Entries that wait at most. 512 are two megabytes of log at the default `index.interval.bytes`.
const PENDING_MAX: usize = 512;

/// Entries of `N` bytes. Every call that may touch the file takes its path, because a log's directory may be renamed.
#[derive(Debug, Default)]
pub struct EntryFile<const N: usize> {
    persisted: u32,
    pending: Vec<[u8; N]>,
}

impl<const N: usize> EntryFile<N> {
    /// What a file on disk holds; `InvalidData` if its size is not a multiple of an entry's.
    pub fn load(path: &Path) -> io::Result<Self> {
        let length = std::fs::metadata(path)?.len();
        let entries = u32::try_from(length / N as u64).ok().filter(|_| length.is_multiple_of(N as u64));
        let persisted = entries.ok_or_else(|| corrupt(path, "size is not a multiple of an entry's"))?;
        Ok(Self { persisted, pending: Vec::new() })
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.persisted as usize + self.pending.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn push(&mut self, entry: [u8; N]) {
        self.pending.push(entry);
    }

    /// Whether so many entries wait that they should be written.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.pending.len() >= PENDING_MAX
    }

    /// Writes the waiting entries; true if there were any. Not synced.
    pub fn spill(&mut self, path: &Path) -> io::Result<bool> {
        if self.pending.is_empty() {
            return Ok(false);
        }
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        file.write_all_at(self.pending.as_flattened(), u64::from(self.persisted) * N as u64)?;
        self.persisted += u32::try_from(self.pending.len()).unwrap_or(u32::MAX);
        self.pending = Vec::new();
        Ok(true)
    }

    /// Keeps the first `entries`.
    pub fn truncate(&mut self, entries: usize, path: &Path) -> io::Result<()> {
        let on_disk = self.persisted as usize;
        self.pending.truncate(entries.saturating_sub(on_disk));
        if entries < on_disk {
            let file = OpenOptions::new().write(true).open(path)?;
            file.set_len((entries * N) as u64)?;
            self.persisted = u32::try_from(entries).unwrap_or(u32::MAX);
        }
        Ok(())
    }

    /// Empties file and memory; the file exists afterwards.
    pub fn reset(&mut self, path: &Path) -> io::Result<()> {
        *self = Self { persisted: 0, pending: Vec::new() };
        File::create(path).map(drop)
    }

    pub fn last(&self, path: &Path) -> io::Result<Option<[u8; N]>> {
        match self.len().checked_sub(1) {
            Some(at) => self.reader(path).get(at).map(Some),
            None => Ok(None),
        }
    }

    /// A view for one search, which opens the file at most once.
    #[must_use]
    pub fn reader<'a>(&'a self, path: &'a Path) -> EntryReader<'a, N> {
        EntryReader { entries: self, path, file: None }
    }
}

pub struct EntryReader<'a, const N: usize> {
    entries: &'a EntryFile<N>,
    path: &'a Path,
    file: Option<File>,
}

impl<const N: usize> EntryReader<'_, N> {
    pub fn get(&mut self, at: usize) -> io::Result<[u8; N]> {
        let on_disk = self.entries.persisted as usize;
        if let Some(waiting) = at.checked_sub(on_disk) {
            return self.entries.pending.get(waiting).copied().ok_or_else(|| corrupt(self.path, "no such entry"));
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => File::open(self.path)?,
        };
        let mut entry = [0; N];
        let read = file.read_exact_at(&mut entry, (at * N) as u64);
        self.file = Some(file);
        read.map(|()| entry)
    }

    /// How many entries at the front satisfy `below`, which must not become true again once false.
    pub fn partition_point(&mut self, mut below: impl FnMut(&[u8; N]) -> bool) -> io::Result<usize> {
        let (mut low, mut high) = (0, self.entries.len());
        let on_disk = self.entries.persisted as usize;
        // The newest entries are the likeliest answer and cost no call into the kernel.
        if self.entries.pending.first().is_some_and(&mut below) {
            low = on_disk + 1;
        } else {
            high = high.min(on_disk);
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if below(&self.get(middle)?) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

pub fn corrupt(path: &Path, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("corrupt index {}: {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_entries_on_disk_and_in_memory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.index");
        let mut entries = EntryFile::<4>::default();
        for value in 0..700u32 {
            entries.push((value * 2).to_be_bytes());
            if entries.is_due() {
                entries.spill(&path).unwrap();
            }
        }
        assert_eq!(entries.len(), 700);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 512 * 4);
        for wanted in [0u32, 1, 2, 777, 1022, 1023, 1024, 1025, 1398, 1399, 5000] {
            let at = entries.reader(&path).partition_point(|e| u32::from_be_bytes(*e) <= wanted).unwrap();
            assert_eq!(at, (0..700).filter(|value| value * 2 <= wanted).count(), "{wanted}");
        }
        entries.truncate(600, &path).unwrap();
        assert_eq!(entries.last(&path).unwrap(), Some(1198u32.to_be_bytes()));
        entries.truncate(10, &path).unwrap();
        assert_eq!(entries.last(&path).unwrap(), Some(18u32.to_be_bytes()));
        entries.push(20u32.to_be_bytes());
        assert!(entries.spill(&path).unwrap());
        assert_eq!(EntryFile::<4>::load(&path).unwrap().len(), 11);
        std::fs::write(&path, [0; 5]).unwrap();
        assert!(EntryFile::<4>::load(&path).is_err());
    }
}
