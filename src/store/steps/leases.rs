//! The ties between numbers, handsets and conversations.
