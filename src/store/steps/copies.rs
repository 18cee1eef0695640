//! What was taken a while ago, to tell a copy that an SMSC brings again from a new SMS.
