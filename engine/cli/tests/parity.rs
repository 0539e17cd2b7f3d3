//! Side by side with the installed `qemu-img`.
fn main() {}
