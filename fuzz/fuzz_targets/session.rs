#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| matrix_smpp_fuzz::session(octets));
