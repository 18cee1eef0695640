//! What accounts that bind to us submit: known by our id until long after its end, withdrawn or
//! changed before it is said.
