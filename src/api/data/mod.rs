//! Records: produce, fetch and what is asked about them.

mod current_leader;
pub mod delete_records;
pub mod describe_producers;
pub mod fetch;
pub mod fetch_answer;
pub mod fetch_session;
pub mod init_producer_id;
pub mod list_offsets;
pub mod offset_for_leader_epoch;
pub mod produce;
