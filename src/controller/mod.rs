//! Cluster decisions: which broker leads what (class `KafkaController`).
