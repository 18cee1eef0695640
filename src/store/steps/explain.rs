//! Questions of people and gauges: the history of messages, and how much waits where.
