//! How results look: `qemu-img`'s texts and JSON documents.

mod bytes;
mod check;
mod finding;
mod info_json;
mod info_text;
mod luks;
mod node;
mod resize;
mod snapshots;
mod vmdk;

pub use check::{check_json, check_text};
pub use finding::show_finding;
pub use info_json::{info_json, info_json_chain};
pub use info_text::info_text;
pub use node::Described;
pub use resize::{resize_json, stats_text};
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

/// A document with `qemu-img`'s indentation of four blanks and a newline at its end.
fn document<T: Serialize>(value: &T) -> String {
    let mut out = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut out, PrettyFormatter::with_indent(b"    "));
    // Our documents are structs of plain values: there is nothing about them that cannot be JSON.
    if value.serialize(&mut serializer).is_err() {
        return String::new();
    }
    out.push(b'\n');
    String::from_utf8_lossy(&out).into_owned()
}
