//! What `check` finds in images of formats that `qemu-img` does not check, or hardly: the words are ours.

use instar_formats::numbered_errors;

numbered_errors! {
    /// One thing that is wrong with an image. Offsets are bytes in the file, unless said otherwise.
    pub enum Damage {
        /// The footer at the start says something else than the one at the end.
        1000 VhdFootersDiffer => "the footers at the start and at the end differ",
    }
}
