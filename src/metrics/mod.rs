//! What is counted, under Kafka's MBean names.
