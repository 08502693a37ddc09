//! The state machine, told as stories and tried at random.
