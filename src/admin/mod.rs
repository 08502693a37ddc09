//! What the admin APIs check and write (class `ZkAdminManager`).
