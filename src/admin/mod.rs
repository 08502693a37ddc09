//! What the admin APIs check and write (class `ZkAdminManager`).

pub mod configs;
