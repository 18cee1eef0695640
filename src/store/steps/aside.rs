//! What was set aside: listed, put back, ended.
