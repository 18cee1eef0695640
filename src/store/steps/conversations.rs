//! Conversations: found, made, taken over, resumed, ended.
