//! The high watermark checkpoint (`highwatermark-checkpoint`).

use super::ReplicaManager;

impl ReplicaManager {
    /// Writes `replication-offset-checkpoint` of every log dir; a restart resumes there.
    pub fn checkpoint_high_watermarks(&self) {
        self.logs.checkpoint_high_watermarks();
    }
}
