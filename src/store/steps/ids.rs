//! Whose id a receipt names.
