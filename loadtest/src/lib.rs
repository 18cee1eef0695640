//! The SMSC simulator and load tools.
