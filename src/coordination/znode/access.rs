//! Who may do what with a znode (`zookeeper.set.acl`; `ZkData.defaultAcls`).

use super::paths;

/// What a znode is created with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody may do anything.
    Open,
    /// Everything for the identity that created it, reading for anybody.
    CreatorAndReaders,
    /// Everything for the identity that created it, nothing for others: credentials may be in it.
    CreatorOnly,
}

/// What lies at and below these holds credentials. Compared as text, as Kafka does.
const SENSITIVE: &[&str] = &["/config/users", "/config/brokers", "/delegation_token/tokens"];

impl Access {
    /// `set_acl` is `zookeeper.set.acl`; `path` is without chroot.
    #[must_use]
    pub fn of(set_acl: bool, path: &str) -> Self {
        // Consumers of old write below this one, whoever they are.
        if !set_acl || path == paths::CONSUMERS {
            Self::Open
        } else if SENSITIVE.iter().any(|root| path.starts_with(root)) {
            Self::CreatorOnly
        } else {
            Self::CreatorAndReaders
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_for_brokers_alone() {
        for path in [
            "/config/users",
            "/config/users/alice",
            "/config/users/alice/clients/app",
            "/config/brokers",
            "/config/brokers/<default>",
            "/config/brokers/1",
            "/delegation_token/tokens",
            "/delegation_token/tokens/abc",
        ] {
            assert_eq!(Access::of(true, path), Access::CreatorOnly, "{path}");
        }
    }

    #[test]
    fn the_rest_of_the_cluster_may_be_read() {
        for path in [
            "/admin/delete_topics/t",
            "/brokers/ids/1",
            "/brokers/topics/t/partitions/0/state",
            "/cluster/id",
            "/config",
            "/config/changes/config_change_0000000001",
            "/config/clients/app",
            "/config/ips/127.0.0.1",
            "/config/topics/users",
            "/controller",
            "/controller_epoch",
            "/consumers/group/offsets/t/0",
            "/delegation_token",
            "/feature",
            "/isr_change_notification",
            "/kafka",
            "/kafka-acl/Topic/t",
            "/latest_producer_id_block",
            "/log_dir_event_notification",
        ] {
            assert_eq!(Access::of(true, path), Access::CreatorAndReaders, "{path}");
        }
    }

    #[test]
    fn without_the_key_and_at_the_root_of_old_consumers_everything_is_open() {
        assert_eq!(Access::of(true, "/consumers"), Access::Open);
        for path in ["/config/users/alice", "/brokers/ids/1", "/consumers"] {
            assert_eq!(Access::of(false, path), Access::Open, "{path}");
        }
    }
}
