//! `zookeeper.connect` (classes `ConnectStringParser`, `PathUtils`): `host[:port],host[:port][/chroot]`. Pure.

use crate::coordination::CoordinationError;

const SINGLE_HOST_REPEATS: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `host:port`, comma between them.
    pub hosts: String,
    /// Absolute; `/` is no chroot.
    pub chroot: String,
}

impl Address {
    pub fn parse(connect: &str) -> Result<Self, CoordinationError> {
        let bad = |why: &str| CoordinationError::BadArguments(format!("zookeeper.connect '{connect}': {why}"));
        let (hosts, chroot) = match connect.find('/') {
            Some(at) => connect.split_at(at),
            None => (connect, "/"),
        };
        let hosts: Vec<&str> = hosts.split(',').map(str::trim).filter(|host| !host.is_empty()).collect();
        if hosts.is_empty() {
            return Err(bad("it names no host"));
        }
        let chroot = chroot.trim_end_matches(char::is_whitespace);
        if chroot.len() > 1 && chroot.split('/').skip(1).any(|name| matches!(name, "" | "." | "..")) {
            return Err(bad("its chroot is no valid path"));
        }
        Ok(Self { hosts: hosts.join(","), chroot: chroot.to_owned() })
    }

    /// What the library is told to connect to. It doubles its pause after each round over the hosts, and with a single
    /// one soon pauses for longer than a session lasts; in a long list the pauses stay below two seconds. Several hosts
    /// are not repeated: one that swallows packets would be tried over and over.
    pub fn rounds(&self) -> String {
        let repeats = if self.hosts.contains(',') { 1 } else { SINGLE_HOST_REPEATS };
        vec![self.hosts.as_str(); repeats].join(",")
    }

    /// There is no chroot.
    pub fn is_rooted(&self) -> bool {
        self.chroot == "/"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_java_takes() {
        let parsed = |text: &str| Address::parse(text).map(|a| (a.hosts, a.chroot)).ok();
        let some = |hosts: &str, chroot: &str| Some((hosts.to_owned(), chroot.to_owned()));
        assert_eq!(parsed("zk:2181"), some("zk:2181", "/"));
        assert_eq!(parsed("zk:2181/"), some("zk:2181", "/"));
        assert_eq!(parsed(" a:1, b:2,,[::1]:3 /kafka/eu"), some("a:1,b:2,[::1]:3", "/kafka/eu"));
        assert_eq!(Address::parse("a:1/kafka").unwrap().rounds().matches("a:1").count(), SINGLE_HOST_REPEATS);
        assert_eq!(Address::parse("a:1,b:2/kafka").unwrap().rounds(), "a:1,b:2");
        for bad in ["", "/kafka", ",", "zk:2181/kafka/", "zk//x", "zk/../x"] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }
}
