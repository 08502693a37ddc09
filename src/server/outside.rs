//! The files and the environment that `config.providers` reach.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
};

use crate::config::providers::Outside;

/// A configuration that is longer is none.
const FILE_BYTES_MAX: u64 = 16 << 20;

pub struct ThisMachine;

impl Outside for ThisMachine {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(io::Error::other("the file is longer than 16 MiB"));
        }
        Ok(bytes)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.is_dir()
    }

    fn is_file(&self, path: &Path) -> bool {
        fs::metadata(path).is_ok_and(|known| known.is_file())
    }

    fn variable(&self, name: &str) -> Option<String> {
        if name.is_empty() || name.contains(['=', '\0']) { None } else { std::env::var(name).ok() }
    }
}
