#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mtorrent_fuzz::saved::line(bytes));
