#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| oracle_targets::run("read_qcow2", data));
