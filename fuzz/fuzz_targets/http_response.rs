#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sources::fuzz::http_response(bytes));
