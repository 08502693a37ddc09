//! What lies in a partition's directory, after unfinished deletions and compactions were dealt with.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use super::segment::{DELETED_SUFFIX, INDEX_SUFFIX, LOG_SUFFIX, SNAPSHOT_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX};
use crate::{
    common::Offset,
    storage::{checkpoint::partition_metadata, log::file_records::BatchScanner},
};

const CLEANED_SUFFIX: &str = ".cleaned";
const SWAP_SUFFIX: &str = ".swap";
/// Digits of the offset in a file's name.
const OFFSET_DIGITS: usize = 20;

#[derive(Debug, Default)]
pub struct Listing {
    /// Base offset and size of every `.log` file.
    pub logs: BTreeMap<Offset, u64>,
    pub indexes: BTreeSet<Offset>,
    pub time_indexes: BTreeSet<Offset>,
    pub txn_indexes: BTreeSet<Offset>,
    pub snapshots: BTreeSet<Offset>,
    pub has_partition_metadata: bool,
}

/// Lists `dir`: removes what was deleted or half compacted, finishes a compaction that was being swapped in, removes
/// index files without a segment.
pub fn list(dir: &Path) -> io::Result<Listing> {
    let mut names = names(dir)?;
    if finish_renames(dir, &names)? {
        names = self::names(dir)?;
    }
    let mut found = Listing::default();
    for name in &names {
        found.has_partition_metadata |= name == partition_metadata::FILE_NAME;
        let Some((offset, suffix)) = parse(name) else { continue };
        match suffix {
            LOG_SUFFIX => drop(found.logs.insert(offset, fs::metadata(dir.join(name))?.len())),
            INDEX_SUFFIX => drop(found.indexes.insert(offset)),
            TIME_INDEX_SUFFIX => drop(found.time_indexes.insert(offset)),
            TXN_INDEX_SUFFIX => drop(found.txn_indexes.insert(offset)),
            SNAPSHOT_SUFFIX => drop(found.snapshots.insert(offset)),
            _ => {}
        }
    }
    for name in &names {
        let Some((offset, suffix)) = parse(name) else { continue };
        if [INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX].contains(&suffix) && !found.logs.contains_key(&offset) {
            tracing::warn!(?dir, name, "removing an index file without a segment");
            fs::remove_file(dir.join(name))?;
        }
    }
    Ok(found)
}

fn names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::with_capacity(8);
    for entry in fs::read_dir(dir)? {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}

/// `00000000000000000042.log` → (42, `.log`).
fn parse(name: &str) -> Option<(Offset, &str)> {
    let (digits, suffix) = name.split_at_checked(OFFSET_DIGITS)?;
    let offset = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    suffix.starts_with('.').then_some((offset, suffix))
}

/// True if anything changed. A `.cleaned` file means that a compaction did not get as far as `.swap`; its swap files,
/// if any, are those at or above it and go too.
fn finish_renames(dir: &Path, names: &[String]) -> io::Result<bool> {
    let with = |suffix: &str| names.iter().filter(|name| name.ends_with(suffix)).cloned().collect::<Vec<_>>();
    let (deleted, cleaned, swap) = (with(DELETED_SUFFIX), with(CLEANED_SUFFIX), with(SWAP_SUFFIX));
    if deleted.is_empty() && cleaned.is_empty() && swap.is_empty() {
        return Ok(false);
    }
    let first_cleaned = cleaned.iter().filter_map(|name| parse(name)).map(|(offset, _)| offset).min();
    for name in deleted.iter().chain(&cleaned) {
        fs::remove_file(dir.join(name))?;
    }
    let (invalid, valid): (Vec<_>, Vec<_>) = swap.into_iter().partition(|name| match (parse(name), first_cleaned) {
        (Some((offset, _)), Some(first)) => offset >= first,
        (Some(_), None) => false,
        (None, _) => true,
    });
    for name in &invalid {
        fs::remove_file(dir.join(name))?;
    }
    remove_swapped(dir, names, &valid)?;
    for name in &valid {
        fs::rename(dir.join(name), dir.join(name.trim_end_matches(SWAP_SUFFIX)))?;
    }
    crate::storage::checkpoint::sync_dir(dir)?;
    Ok(true)
}

/// Removes the segments that the swap files replace: those in the offsets they span.
fn remove_swapped(dir: &Path, names: &[String], swap: &[String]) -> io::Result<()> {
    let (mut first, mut end) = (Offset::MAX, Offset::MIN);
    for name in swap {
        let Some((offset, suffix)) = parse(name) else { continue };
        if suffix != ".log.swap" {
            continue;
        }
        let file = fs::File::open(dir.join(name))?;
        let mut batches = BatchScanner::new(&file, 0, file.metadata()?.len());
        let mut next_offset = offset;
        while let Some(batch) = batches.next_batch()? {
            next_offset = batch.header.next_offset();
        }
        first = first.min(offset);
        end = end.max(next_offset);
    }
    for name in names {
        let Some((offset, suffix)) = parse(name) else { continue };
        let own = [LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX, SNAPSHOT_SUFFIX].contains(&suffix);
        if own && (first..end).contains(&offset) {
            fs::remove_file(dir.join(name))?;
        }
    }
    Ok(())
}
