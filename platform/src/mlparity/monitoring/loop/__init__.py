"""The retraining loop: violation, retraining, gate, approval, rollout; one durable state machine on the clock."""
