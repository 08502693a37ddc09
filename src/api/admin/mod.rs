//! Topics, configurations, disks.

pub mod alter_configs;
pub mod alter_partition_reassignments;
pub mod alter_replica_log_dirs;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_topics;
pub mod describe_configs;
pub mod describe_log_dirs;
pub mod elect_leaders;
pub mod incremental_alter_configs;
pub mod list_partition_reassignments;

/// What `Errors.NOT_CONTROLLER` says.
const NOT_CONTROLLER_MESSAGE: &str = "This is not the correct controller for this cluster.";

/// Topics are created and deleted by the controller only: others answer NOT_CONTROLLER, and the client goes there.
/// What they write goes to the tree, where a controller that is about to be replaced does no harm with it.
pub(crate) fn is_controller(ctx: &super::Context) -> bool {
    let services = &ctx.services;
    services.controller.is_active() || services.metadata.load().controller == Some(services.broker_id)
}
