//! Delivery receipts, and the segments that they are about.
