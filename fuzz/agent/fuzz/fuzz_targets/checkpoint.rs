#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| fintail_fuzz_agent::checkpoint(data));
